-- Several addresses a platform, each with the events it chose and secrets that can be rotated.
-- What a platform had becomes its first webhook; its secret stays sealed as the column that it was
-- sealed as. The old columns stay for processes of the version before, and are read no more.
CREATE TABLE webhooks (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  platform uuid NOT NULL REFERENCES platforms,
  url text NOT NULL,
  kinds text[] NOT NULL DEFAULT '{}',
  private boolean NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
);
CREATE INDEX webhooks_of ON webhooks (platform, id) WHERE ended_at IS NULL;
CREATE TABLE webhook_secrets (
  webhook uuid NOT NULL REFERENCES webhooks,
  generation integer NOT NULL,
  sealed bytea NOT NULL,
  sealed_as text NOT NULL,
  until timestamptz,
  PRIMARY KEY (webhook, generation)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON webhooks, webhook_secrets TO consentry_app;

INSERT INTO webhooks (platform, url, private, created_at)
  SELECT id, webhook_url, true, created_at FROM platforms
  WHERE webhook_url IS NOT NULL AND webhook_secret IS NOT NULL;
INSERT INTO webhook_secrets (webhook, generation, sealed, sealed_as)
  SELECT w.id, 0, p.webhook_secret, 'platforms.webhook_secret'
  FROM webhooks w JOIN platforms p ON p.id = w.platform;

-- Attempts get a number that a log can be read by, and say to which address they went. A test has
-- no job behind it.
ALTER TABLE delivery_attempts
  DROP CONSTRAINT delivery_attempts_pkey,
  ALTER COLUMN job DROP NOT NULL,
  ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  ADD COLUMN webhook uuid REFERENCES webhooks,
  ADD COLUMN number integer NOT NULL DEFAULT 1,
  ADD UNIQUE (event, job, attempt);
GRANT USAGE ON ALL SEQUENCES IN SCHEMA consentry TO consentry_app;
UPDATE delivery_attempts a SET webhook = w.id, number = a.attempt
  FROM events e JOIN webhooks w ON w.platform = e.platform WHERE e.id = a.event;
CREATE INDEX delivery_attempts_log ON delivery_attempts (webhook, id);

UPDATE jobs j SET payload = j.payload || jsonb_build_object('webhook', w.id::text)
  FROM events e JOIN webhooks w ON w.platform = e.platform
  WHERE j.kind = 'deliver' AND j.state <> 'done' AND e.id = j.payload->>'event';
CREATE INDEX jobs_deliveries ON jobs ((payload->>'event')) WHERE kind = 'deliver';

-- Lists that platforms read a page at a time.
CREATE INDEX events_of_platform ON events (platform, id);
CREATE INDEX case_uploads_of_platform ON case_uploads (platform, case_id);
