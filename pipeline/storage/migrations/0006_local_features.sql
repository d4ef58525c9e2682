-- Local features of registered pictures, for people who opted in to them. An entry in the space
-- "orb/1" holds what an index needs, the strongest descriptors of one orientation; here lies what
-- an alignment needs: all of them, and their places apart. Both are sealed under the person's key
-- and go whenever the entry goes.
CREATE TABLE features (
  entry bigint PRIMARY KEY REFERENCES entries ON DELETE CASCADE,
  mirrored boolean NOT NULL,
  descriptors bytea NOT NULL,
  places bytea NOT NULL
);
GRANT SELECT, INSERT, DELETE ON features TO consentry_app;
