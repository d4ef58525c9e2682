"""Nouns and rules. Standard library and numpy only; no input, no output, no clock."""
