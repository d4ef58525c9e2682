"""One file or folder per running process."""
