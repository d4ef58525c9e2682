-- Faces that people ask to have recognised, and accounts that they allow to post them.

-- Templates lie here, sealed under the person's key, until they are in force; then in `entries`.
CREATE TABLE enrolments (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  state text NOT NULL
    CHECK (state IN ('pending', 'approved', 'frozen', 'refused', 'expired', 'replaced')),
  photos smallint NOT NULL CHECK (photos BETWEEN 1 AND 256),
  spaces text[] NOT NULL,
  text_version text NOT NULL,
  asked_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  item uuid,
  organisation text,
  rival uuid REFERENCES enrolments ON DELETE SET NULL,
  likeness text,
  sealed bytea,
  decided_at timestamptz,
  decided_by uuid REFERENCES reviewers,
  reason text,
  CHECK (item IS NULL OR sealed IS NULL),
  CHECK (state NOT IN ('refused', 'expired', 'replaced') OR (item IS NULL AND sealed IS NULL)),
  CHECK (state <> 'pending' OR sealed IS NOT NULL)
);
CREATE INDEX enrolments_by_person ON enrolments (person);
CREATE INDEX enrolments_by_item ON enrolments (item) WHERE item IS NOT NULL;
CREATE INDEX enrolments_by_rival ON enrolments (rival) WHERE rival IS NOT NULL;
CREATE INDEX enrolments_waiting ON enrolments (asked_at) WHERE state IN ('pending', 'frozen');
CREATE INDEX enrolments_due ON enrolments (expires_at)
  WHERE state IN ('pending', 'approved', 'frozen');
CREATE INDEX entries_by_item ON entries (item) WHERE bank = 'faces';

-- A voucher counts once. The digest says nothing about the person whom it was for.
CREATE TABLE vouchers_used (
  digest bytea PRIMARY KEY,
  used_at timestamptz NOT NULL
);

-- The account's name is sealed under the person's key; `digest` is keyed, for look-ups.
CREATE TABLE grants (
  id uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  platform uuid NOT NULL REFERENCES platforms,
  digest bytea NOT NULL,
  sealed bytea NOT NULL,
  given_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL,
  revoked_at timestamptz
);
CREATE INDEX grants_by_person ON grants (person);
CREATE UNIQUE INDEX grants_in_force ON grants (digest) WHERE revoked_at IS NULL;

-- A cosine rises with likeness, bits fall with it: lists sort by rank, copies before faces.
ALTER TABLE case_hits
  ADD COLUMN metric text NOT NULL DEFAULT 'hamming'
    CHECK (metric IN ('hamming', 'inner_product')),
  ADD COLUMN granted uuid REFERENCES grants ON DELETE SET NULL;
ALTER TABLE case_hits
  ADD COLUMN rank real NOT NULL
    GENERATED ALWAYS AS (CASE metric WHEN 'hamming' THEN distance ELSE 1000 - distance END) STORED;

GRANT SELECT, INSERT, UPDATE, DELETE ON enrolments, grants, vouchers_used TO consentry_app;
