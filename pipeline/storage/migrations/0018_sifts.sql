-- Old media that are read again, because faces are found in no other way. A batch's references lie
-- sealed under the platform's key until it is done; of what is clear nothing stays but how much.
CREATE TABLE sifts (
  id uuid PRIMARY KEY,
  platform uuid NOT NULL REFERENCES platforms,
  source text NOT NULL,
  rating text NOT NULL,
  asked_at timestamptz NOT NULL,
  asked_by text NOT NULL,
  listed bigint NOT NULL DEFAULT 0,
  complete boolean NOT NULL DEFAULT false
);
CREATE TABLE sift_batches (
  sift uuid NOT NULL REFERENCES sifts,
  number integer NOT NULL,
  job bigint NOT NULL REFERENCES jobs,
  items integer NOT NULL,
  refs bytea,
  clear integer NOT NULL DEFAULT 0,
  refused integer NOT NULL DEFAULT 0,
  found integer NOT NULL DEFAULT 0,
  seconds real NOT NULL DEFAULT 0,
  done_at timestamptz,
  PRIMARY KEY (sift, number)
);
CREATE INDEX sift_batches_by_job ON sift_batches (job);
GRANT SELECT, INSERT, UPDATE ON sifts, sift_batches TO consentry_app;
