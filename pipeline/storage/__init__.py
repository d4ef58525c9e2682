"""PostgreSQL, the only store."""
