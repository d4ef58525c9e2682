-- The spine: who asks, who is protected, what was found, who decided, what was delivered.
-- Runs as the owner; services work as the role consentry_app, which cannot touch the audit trail.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'consentry_app') THEN
    CREATE ROLE consentry_app NOLOGIN;
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN NULL;  -- another database on this server was first
  WHEN insufficient_privilege THEN
    RAISE EXCEPTION 'the role consentry_app is missing and this user may not create it'
      USING HINT = 'ask the database''s administrator for: CREATE ROLE consentry_app NOLOGIN; '
                   'GRANT consentry_app TO the user in DATABASE_URL;';
END $$;
DO $$
BEGIN
  IF NOT pg_has_role(current_user, 'consentry_app', 'SET') THEN
    EXECUTE format('GRANT consentry_app TO %I', current_user);
  END IF;
END $$;

CREATE TABLE deployment (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  id uuid NOT NULL DEFAULT uuidv7(),
  created_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO deployment DEFAULT VALUES;

-- Data keys, each wrapped by a key-encryption key that is not in the database.
CREATE TABLE vault_keys (
  owner uuid PRIMARY KEY,
  kind text NOT NULL CHECK (kind IN ('person', 'platform', 'media', 'deployment')),
  kek text NOT NULL,
  wrapped bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX vault_keys_by_kek ON vault_keys (kek);

CREATE TABLE platforms (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  name text NOT NULL UNIQUE,
  webhook_url text,
  webhook_secret bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz
);
CREATE TABLE api_keys (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  platform uuid NOT NULL REFERENCES platforms,
  digest bytea NOT NULL UNIQUE,
  per_minute integer NOT NULL CHECK (per_minute > 0),
  created_at timestamptz NOT NULL DEFAULT now(),
  revoked_at timestamptz
);
CREATE TABLE idempotency (
  platform uuid NOT NULL REFERENCES platforms,
  key text NOT NULL,
  request bytea NOT NULL,
  status integer,
  answer jsonb,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (platform, key)
);
CREATE INDEX idempotency_by_age ON idempotency (created_at);

CREATE TABLE persons (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  case_number text NOT NULL UNIQUE,
  pin text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  withdrawn_at timestamptz
);
CREATE TABLE consents (
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  purpose text NOT NULL,
  text_version text NOT NULL,
  state text NOT NULL,
  changed_at timestamptz NOT NULL,
  PRIMARY KEY (person, purpose)
);

-- One registered (or upheld) item under one signal. `sealed` holds its codes under the person's key.
CREATE TABLE entries (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  person uuid NOT NULL REFERENCES persons,
  item uuid NOT NULL,
  bank text NOT NULL,
  source text NOT NULL CHECK (source IN ('registered', 'upheld')),
  upheld_case uuid,
  space text NOT NULL,
  slots smallint NOT NULL CHECK (slots BETWEEN 1 AND 256),
  sealed bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  removed_at timestamptz,
  CHECK ((source = 'upheld') = (upheld_case IS NOT NULL))
);
CREATE INDEX entries_by_person ON entries (person);
CREATE INDEX entries_by_case ON entries (upheld_case) WHERE upheld_case IS NOT NULL;

-- The change log that every process's index follows. The head row's lock makes the sequence
-- monotone in commit order: whoever has read up to a number has missed nothing below it.
CREATE TABLE change_head (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  seq bigint NOT NULL DEFAULT 0
);
INSERT INTO change_head DEFAULT VALUES;
CREATE TABLE changes (
  seq bigint PRIMARY KEY,
  op text NOT NULL CHECK (op IN ('add', 'remove')),
  entries bigint[] NOT NULL,
  at timestamptz NOT NULL DEFAULT now()
);
CREATE FUNCTION change_append(what text, which bigint[]) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE step bigint;
BEGIN
  UPDATE change_head SET seq = change_head.seq + 1 RETURNING change_head.seq INTO step;
  INSERT INTO changes (seq, op, entries) VALUES (step, what, which);
  PERFORM pg_notify('consentry_changes', step::text);
  RETURN step;
END $$;

-- Every process that holds an index: what it has applied, and when it last said so.
CREATE TABLE followers (
  process uuid PRIMARY KEY,
  role text NOT NULL,
  host text NOT NULL,
  pid integer NOT NULL,
  born bigint NOT NULL,
  applied bigint,
  started_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE screenings (
  id uuid PRIMARY KEY,
  platform uuid NOT NULL REFERENCES platforms,
  content_id text NOT NULL,
  uploader text,
  rating text NOT NULL,
  form text NOT NULL CHECK (form IN ('file', 'hashes')),
  bytes bigint,
  mime text,
  verdict text NOT NULL CHECK (verdict IN ('clear', 'review', 'known', 'refused')),
  refusal text,
  message text,
  matches jsonb NOT NULL DEFAULT '[]',
  notes jsonb NOT NULL DEFAULT '[]',
  case_id uuid,
  policy text NOT NULL,
  index_seq bigint NOT NULL,
  milliseconds real NOT NULL,
  received_at timestamptz NOT NULL,
  audited bigint,
  CHECK ((verdict = 'refused') = (refusal IS NOT NULL)),
  CHECK (verdict NOT IN ('review', 'known') OR case_id IS NOT NULL)
);
CREATE INDEX screenings_unaudited ON screenings (id) WHERE audited IS NULL;
CREATE INDEX screenings_audited ON screenings (audited);
CREATE INDEX screenings_by_case ON screenings (case_id) WHERE case_id IS NOT NULL;
CREATE INDEX screenings_by_platform ON screenings (platform, received_at);

CREATE TABLE reviewers (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  login text NOT NULL UNIQUE,
  password text NOT NULL,
  role text NOT NULL CHECK (role IN ('reviewer', 'senior')),
  created_at timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz
);
CREATE TABLE sessions (
  digest bytea PRIMARY KEY,
  reviewer uuid NOT NULL REFERENCES reviewers ON DELETE CASCADE,
  csrf text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  seen_at timestamptz NOT NULL DEFAULT now(),
  expires_at timestamptz NOT NULL
);
-- Wrong PINs and passwords. `subject` is a keyed digest, so the table names nobody.
CREATE TABLE attempts (
  subject bytea PRIMARY KEY,
  failures integer NOT NULL,
  not_before timestamptz NOT NULL
);

CREATE TABLE cases (
  id uuid PRIMARY KEY,
  state text NOT NULL,
  opened_at timestamptz NOT NULL,
  lease_reviewer uuid REFERENCES reviewers,
  lease_until timestamptz,
  lease_token uuid,
  ground text,
  reason text,
  decided_by uuid REFERENCES reviewers,
  decided_at timestamptz,
  CHECK ((lease_reviewer IS NULL) = (lease_until IS NULL)),
  CHECK ((lease_reviewer IS NULL) = (lease_token IS NULL))
);
CREATE INDEX cases_undecided ON cases (opened_at, id) WHERE state IN ('open', 'escalated');
CREATE TABLE case_uploads (
  screening uuid PRIMARY KEY REFERENCES screenings,
  case_id uuid NOT NULL REFERENCES cases,
  platform uuid NOT NULL REFERENCES platforms,
  content_id text NOT NULL,
  fingerprint bytea NOT NULL,
  joined_at timestamptz NOT NULL
);
CREATE INDEX case_uploads_by_case ON case_uploads (case_id);
CREATE INDEX case_uploads_by_content ON case_uploads (platform, content_id);
CREATE INDEX case_uploads_by_print ON case_uploads (fingerprint);
CREATE TABLE case_hits (
  case_id uuid NOT NULL REFERENCES cases,
  screening uuid NOT NULL REFERENCES screenings,
  entry bigint NOT NULL,
  person uuid,
  signal text NOT NULL,
  distance real NOT NULL,
  threshold real NOT NULL,
  bank text NOT NULL,
  source text NOT NULL,
  slot smallint NOT NULL,
  view jsonb NOT NULL,
  witness text,
  withdrawn boolean NOT NULL DEFAULT false,
  PRIMARY KEY (case_id, screening, entry)
);
CREATE INDEX case_hits_by_entry ON case_hits (entry);
CREATE INDEX case_hits_by_person ON case_hits (person) WHERE person IS NOT NULL;
CREATE TABLE dismissals (
  fingerprint bytea NOT NULL,
  entry bigint NOT NULL,
  case_id uuid NOT NULL REFERENCES cases,
  at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (fingerprint, entry)
);
CREATE INDEX dismissals_by_entry ON dismissals (entry);

-- An upload under review, and the codes that will join the person's bank if it is upheld: the
-- file lies sealed in the blob store, the codes sealed here, both under this medium's own key.
CREATE TABLE media (
  id uuid PRIMARY KEY,
  case_id uuid NOT NULL REFERENCES cases,
  screening uuid NOT NULL REFERENCES screenings,
  blob boolean NOT NULL,
  size bigint NOT NULL,
  mime text,
  codes bytea,
  stored_at timestamptz NOT NULL,
  destroy_at timestamptz,
  destroyed_at timestamptz
);
CREATE INDEX media_by_case ON media (case_id);
CREATE INDEX media_due ON media (destroy_at) WHERE destroyed_at IS NULL;

CREATE TABLE events (
  id text PRIMARY KEY,
  platform uuid NOT NULL REFERENCES platforms,
  case_id uuid NOT NULL REFERENCES cases,
  kind text NOT NULL,
  body jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  delivered_at timestamptz
);
CREATE INDEX events_by_case ON events (case_id);
CREATE TABLE takedowns (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  case_id uuid NOT NULL REFERENCES cases,
  platform uuid NOT NULL REFERENCES platforms,
  event text NOT NULL REFERENCES events,
  decided_by uuid NOT NULL REFERENCES reviewers,
  made_at timestamptz NOT NULL,
  UNIQUE (case_id, platform)
);

CREATE TABLE jobs (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kind text NOT NULL,
  payload jsonb NOT NULL,
  state text NOT NULL DEFAULT 'ready' CHECK (state IN ('ready', 'leased', 'done', 'dead')),
  run_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL DEFAULT 0,
  max_attempts integer NOT NULL,
  lease_until timestamptz,
  fence bigint NOT NULL DEFAULT 0,
  last_error text,
  created_at timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
);
CREATE INDEX jobs_due ON jobs (kind, run_at) WHERE state = 'ready';
CREATE INDEX jobs_leased ON jobs (kind, lease_until) WHERE state = 'leased';
CREATE INDEX jobs_dead ON jobs (finished_at) WHERE state = 'dead';
CREATE TABLE delivery_attempts (
  event text NOT NULL REFERENCES events,
  job bigint NOT NULL REFERENCES jobs,
  attempt integer NOT NULL,
  at timestamptz NOT NULL,
  status integer,
  error text,
  milliseconds real NOT NULL,
  PRIMARY KEY (event, job, attempt)
);

CREATE TABLE withdrawals (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  person uuid,
  asked_at timestamptz NOT NULL,
  seq bigint NOT NULL,
  entries integer NOT NULL,
  cases_closed integer NOT NULL DEFAULT 0,
  media_destroyed integer NOT NULL DEFAULT 0,
  holders jsonb NOT NULL DEFAULT '[]',
  done jsonb NOT NULL DEFAULT '[]',
  signature text,
  completed_at timestamptz
);
CREATE UNIQUE INDEX withdrawals_pending ON withdrawals (person) WHERE person IS NOT NULL;

-- The audit trail: a hash chain that the application can lengthen and read, and nothing else.
CREATE TABLE audit_heads (
  chain text PRIMARY KEY,
  seq bigint NOT NULL,
  hash bytea NOT NULL
);
INSERT INTO audit_heads (chain, seq, hash)
  VALUES ('main', 0, decode(repeat('00', 32), 'hex'));
CREATE TABLE audit_log (
  chain text NOT NULL REFERENCES audit_heads,
  seq bigint NOT NULL,
  at timestamptz NOT NULL,
  actor text NOT NULL CHECK (actor !~ E'\n'),
  action text NOT NULL CHECK (action !~ E'\n'),
  subject text NOT NULL CHECK (subject !~ E'\n'),
  body text NOT NULL,
  hash bytea NOT NULL,
  PRIMARY KEY (chain, seq)
);
CREATE INDEX audit_by_subject ON audit_log (subject);

CREATE FUNCTION audit_append(which text, who text, what text, about text, detail text)
RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER
SET search_path = consentry, pg_temp AS $$
DECLARE
  head audit_heads%ROWTYPE;
  moment timestamptz;
  link bytea;
BEGIN
  SELECT * INTO STRICT head FROM audit_heads WHERE chain = which FOR UPDATE;
  moment := clock_timestamp();
  link := sha256(head.hash || convert_to(concat_ws(E'\n',
    which, (head.seq + 1)::text,
    to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
    who, what, about, detail), 'UTF8'));
  INSERT INTO audit_log (chain, seq, at, actor, action, subject, body, hash)
    VALUES (which, head.seq + 1, moment, who, what, about, detail, link);
  UPDATE audit_heads SET seq = head.seq + 1, hash = link WHERE chain = which;
  RETURN head.seq + 1;
END $$;

CREATE FUNCTION audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION 'the audit trail is append-only: % on % is refused', TG_OP, TG_TABLE_NAME
    USING ERRCODE = 'insufficient_privilege';
END $$;
CREATE TRIGGER audit_log_rows BEFORE UPDATE OR DELETE ON audit_log
  FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_log_truncate BEFORE TRUNCATE ON audit_log
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_heads_rows BEFORE DELETE ON audit_heads
  FOR EACH ROW EXECUTE FUNCTION audit_is_append_only();
CREATE TRIGGER audit_heads_truncate BEFORE TRUNCATE ON audit_heads
  FOR EACH STATEMENT EXECUTE FUNCTION audit_is_append_only();
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_rows;
ALTER TABLE audit_log ENABLE ALWAYS TRIGGER audit_log_truncate;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER audit_heads_rows;
ALTER TABLE audit_heads ENABLE ALWAYS TRIGGER audit_heads_truncate;

GRANT USAGE ON SCHEMA consentry TO consentry_app;
GRANT SELECT, INSERT, UPDATE, DELETE ON
  deployment, vault_keys, platforms, api_keys, idempotency, persons, consents, entries,
  change_head, changes, followers, screenings, reviewers, sessions, attempts, cases, case_uploads,
  case_hits, dismissals, media, events, takedowns, jobs, delivery_attempts, withdrawals
  TO consentry_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA consentry TO consentry_app;
GRANT SELECT ON audit_heads, audit_log, schema_migrations TO consentry_app;
REVOKE ALL ON FUNCTION audit_append(text, text, text, text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_append(text, text, text, text, text) TO consentry_app;
