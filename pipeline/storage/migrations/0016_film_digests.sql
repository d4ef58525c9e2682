-- SHA-256 and MD5 of an uploaded video, computed while it came and sealed under its own key.
ALTER TABLE pending_films ADD COLUMN digests bytea;
