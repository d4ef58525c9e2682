-- Videos: what an entry's slots are, uploads that are still being looked at, and events that tell
-- of a screening rather than of a case.
ALTER TABLE entries ADD COLUMN layout text NOT NULL DEFAULT 'picture'
  CHECK (layout IN ('picture', 'moment', 'frames', 'bytes'));
CREATE INDEX entries_of_films ON entries (item) WHERE layout = 'frames';

ALTER TABLE events ALTER COLUMN case_id DROP NOT NULL;

-- A video between its upload and its answer: the row goes when the answer is there. The file lies
-- sealed in the blob store under the key of `medium`. `early` is what was certain before the end.
CREATE TABLE pending_films (
  id uuid PRIMARY KEY,
  platform uuid NOT NULL REFERENCES platforms,
  content_id text NOT NULL,
  uploader text,
  rating text NOT NULL,
  medium uuid NOT NULL,
  size bigint NOT NULL,
  mime text,
  job bigint NOT NULL REFERENCES jobs,
  received_at timestamptz NOT NULL,
  done real NOT NULL DEFAULT 0,
  frames integer NOT NULL DEFAULT 0,
  expected integer,
  early jsonb NOT NULL DEFAULT '[]'
);
CREATE INDEX pending_films_by_medium ON pending_films (medium);
CREATE INDEX pending_films_by_job ON pending_films (job);
GRANT SELECT, INSERT, UPDATE, DELETE ON pending_films TO consentry_app;
