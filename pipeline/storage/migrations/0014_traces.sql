-- What screened uploads leave behind, so that they can be found when somebody registers later: their
-- hashes, sealed, in partitions of a day each. A day has a key of its own (`owner` in vault_keys):
-- when its time is over the key is shredded and the partitions are dropped.
ALTER TABLE vault_keys DROP CONSTRAINT vault_keys_kind_check,
  ADD CHECK (kind IN ('person', 'platform', 'media', 'deployment', 'notice', 'traces'));
CREATE TABLE trace_days (
  day date PRIMARY KEY,
  owner uuid NOT NULL UNIQUE
);
-- Freshly left, one row an upload, until there are enough for a segment. `tx` tells which rows a
-- sweep could not have seen yet.
CREATE TABLE traces (
  day date NOT NULL,
  screening uuid NOT NULL,
  index_seq bigint NOT NULL,
  tx xid8 NOT NULL DEFAULT pg_current_xact_id(),
  sealed bytea NOT NULL,
  PRIMARY KEY (day, screening)
) PARTITION BY LIST (day);
-- Pressed together: `uploads` has 48 bytes a row (screening, keyed digest of the file), a column has
-- a byte of quality and a code a row. Never changed, only dropped with their day.
CREATE TABLE trace_segments (
  day date NOT NULL,
  id uuid NOT NULL,
  rows integer NOT NULL CHECK (rows > 0),
  least_seq bigint NOT NULL,
  last_at timestamptz NOT NULL,
  uploads bytea NOT NULL,
  PRIMARY KEY (day, id)
) PARTITION BY LIST (day);
CREATE TABLE trace_columns (
  day date NOT NULL,
  segment uuid NOT NULL,
  space text NOT NULL,
  codes bytea NOT NULL,
  PRIMARY KEY (day, segment, space)
) PARTITION BY LIST (day);
-- Sealed bytes do not compress.
ALTER TABLE trace_segments ALTER COLUMN uploads SET STORAGE EXTERNAL;
ALTER TABLE trace_columns ALTER COLUMN codes SET STORAGE EXTERNAL;

-- A day's partitions, made by the first of all who ask; the owner of the day's key.
CREATE FUNCTION traces_open(which date) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER
SET search_path = consentry, pg_temp AS $$
DECLARE
  whose uuid;
  parent text;
BEGIN
  INSERT INTO trace_days (day, owner) VALUES (which, uuidv7())
    ON CONFLICT DO NOTHING RETURNING owner INTO whose;
  IF whose IS NOT NULL THEN
    FOREACH parent IN ARRAY ARRAY['traces', 'trace_segments', 'trace_columns'] LOOP
      -- Made apart and attached, which lets others read and write meanwhile.
      EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)',
                     parent || to_char(which, '_YYYYMMDD'), parent);
      EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES IN (%L)',
                     parent, parent || to_char(which, '_YYYYMMDD'), which);
    END LOOP;
  ELSE
    SELECT owner INTO STRICT whose FROM trace_days WHERE day = which;
  END IF;
  RETURN whose;
END $$;

-- A day is over and done with: everything of it is dropped; the owner of its key, to be shredded.
CREATE FUNCTION traces_close(which date) RETURNS uuid LANGUAGE plpgsql SECURITY DEFINER
SET search_path = consentry, pg_temp AS $$
DECLARE
  whose uuid;
  parent text;
BEGIN
  DELETE FROM trace_days WHERE day = which RETURNING owner INTO whose;
  IF whose IS NOT NULL THEN
    FOREACH parent IN ARRAY ARRAY['traces', 'trace_segments', 'trace_columns'] LOOP
      EXECUTE format('DROP TABLE %I', parent || to_char(which, '_YYYYMMDD'));
    END LOOP;
  END IF;
  RETURN whose;
END $$;
REVOKE ALL ON FUNCTION traces_open(date), traces_close(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION traces_open(date), traces_close(date) TO consentry_app;

-- Earlier uploads against what was registered after `after_seq` and up to `upto_seq`. `seen` is the
-- last moment at which loose rows were planned for; until `closed_at` late ones are added.
CREATE TABLE sweeps (
  id uuid PRIMARY KEY,
  asked_at timestamptz NOT NULL,
  asked_by text NOT NULL,
  after_seq bigint NOT NULL,
  upto_seq bigint NOT NULL,
  since timestamptz,
  radii jsonb NOT NULL,
  seen pg_snapshot,
  planned boolean NOT NULL DEFAULT false,
  closed_at timestamptz
);
CREATE INDEX sweeps_open ON sweeps (asked_at) WHERE closed_at IS NULL;
-- A piece of a sweep: a segment, or the loose rows that were not visible in `after`. Its lease is
-- the job's.
CREATE TABLE sweep_chunks (
  sweep uuid NOT NULL REFERENCES sweeps,
  number integer NOT NULL,
  day date NOT NULL,
  segment uuid,
  after pg_snapshot,
  rows bigint NOT NULL,
  job bigint REFERENCES jobs,
  compared numeric NOT NULL DEFAULT 0,
  found integer NOT NULL DEFAULT 0,
  seconds real NOT NULL DEFAULT 0,
  done_at timestamptz,
  PRIMARY KEY (sweep, number),
  UNIQUE (sweep, segment)
);
CREATE INDEX sweep_chunks_by_job ON sweep_chunks (job);
GRANT SELECT ON trace_days TO consentry_app;
GRANT SELECT, INSERT, DELETE ON traces, trace_segments, trace_columns TO consentry_app;
-- Rows are locked while they are pressed into a segment.
GRANT UPDATE ON traces TO consentry_app;
GRANT SELECT, INSERT, UPDATE ON sweeps, sweep_chunks TO consentry_app;
