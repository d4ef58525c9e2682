"""Hostile bytes in, frames or a refusal by name out."""
