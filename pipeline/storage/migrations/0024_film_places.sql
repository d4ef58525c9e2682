-- Where the work on a video stands, sealed under its own key, so that another worker goes on from there.
ALTER TABLE pending_films ADD COLUMN kept bytea;
