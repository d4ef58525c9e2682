-- The portal: a way back in for whoever lost her PIN, and who is signed in to her own case.
ALTER TABLE persons ADD COLUMN recovery bytea UNIQUE;
CREATE TABLE visits (
  digest bytea PRIMARY KEY,
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  csrf text NOT NULL,
  began_at timestamptz NOT NULL,
  seen_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL
);
CREATE INDEX visits_by_person ON visits (person);
CREATE INDEX screenings_known ON screenings (case_id, verdict) WHERE verdict = 'known';
GRANT SELECT, INSERT, UPDATE, DELETE ON visits TO consentry_app;

-- Somebody asks for content to go: who she is and how to reach her, sealed under the notice's key.
CREATE TABLE notices (
  id uuid PRIMARY KEY,
  case_id uuid NOT NULL UNIQUE REFERENCES cases,
  code bytea NOT NULL UNIQUE,
  received_at timestamptz NOT NULL,
  sealed bytea,
  destroyed_at timestamptz,
  CHECK ((sealed IS NULL) = (destroyed_at IS NOT NULL))
);
CREATE INDEX notices_held ON notices (case_id) WHERE destroyed_at IS NULL;
GRANT SELECT, INSERT, UPDATE, DELETE ON notices TO consentry_app;
ALTER TABLE vault_keys DROP CONSTRAINT vault_keys_kind_check,
  ADD CHECK (kind IN ('person', 'platform', 'media', 'deployment', 'notice'));
ALTER TABLE screenings DROP CONSTRAINT screenings_form_check,
  ADD CHECK (form IN ('file', 'hashes', 'notice'));
