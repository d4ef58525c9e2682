-- Negative banks: codes of known false matches. Each is held by a holder of its own (a row of
-- persons whose PIN nobody knows), so that giving it up is a withdrawal like everybody's.
CREATE TABLE banks (
  name text PRIMARY KEY,
  holder uuid NOT NULL UNIQUE REFERENCES persons ON DELETE CASCADE,
  keeps interval NOT NULL,
  owners text NOT NULL DEFAULT '',
  notes text NOT NULL DEFAULT '',
  created_at timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON banks TO consentry_app;
