"""Verbs: one file, one story, read from top to bottom."""
