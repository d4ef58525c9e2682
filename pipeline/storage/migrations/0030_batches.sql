-- additive
-- Uploads by address that wait to be fetched: the address and the account lie sealed under the
-- platform's key, and the row goes when the answer is there. A batch names its uploads' screenings.
CREATE TABLE pending_references (
  id uuid PRIMARY KEY,
  platform uuid NOT NULL REFERENCES platforms,
  content_id text NOT NULL,
  rating text NOT NULL,
  sealed bytea NOT NULL,
  job bigint NOT NULL REFERENCES jobs,
  received_at timestamptz NOT NULL
);
CREATE INDEX pending_references_by_job ON pending_references (job);
CREATE INDEX pending_references_by_platform ON pending_references (platform);
CREATE TABLE batches (
  id uuid PRIMARY KEY,
  platform uuid NOT NULL REFERENCES platforms,
  once text,
  items integer NOT NULL,
  received_at timestamptz NOT NULL,
  done_at timestamptz
);
CREATE INDEX batches_by_once ON batches (platform, once) WHERE once IS NOT NULL;
CREATE INDEX batches_under_way ON batches (received_at) WHERE done_at IS NULL;
CREATE INDEX batches_by_end ON batches (done_at) WHERE done_at IS NOT NULL;
CREATE TABLE batch_items (
  batch uuid NOT NULL REFERENCES batches ON DELETE CASCADE,
  number integer NOT NULL,
  screening uuid NOT NULL,
  PRIMARY KEY (batch, number)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON pending_references TO consentry_app;
GRANT SELECT, INSERT, DELETE ON batch_items TO consentry_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON batches TO consentry_app;
