"""The family of actions: what reaches a platform after a person decided. Idempotent."""
