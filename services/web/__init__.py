"""What every service with pages shares: forms, tokens, and the headers that keep them safe."""
