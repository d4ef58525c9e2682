"""The portal: a person registers her pictures, follows what happens, and leaves."""
