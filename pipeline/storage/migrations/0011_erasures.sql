-- What was erased, so that a restored backup can be made to forget it again: digests of random ids,
-- which only a database that still has those ids can read.
--
-- Triggers write it, not journeys: whatever deletes a key or codes, now or later, is in the list.
-- `seq` is given once a row is committed, in the order in which workers copy rows to their lists.
CREATE TABLE erasures (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  what text NOT NULL CHECK (what IN ('person', 'key', 'entries')),
  owner bytea,
  entries bigint[],
  at timestamptz NOT NULL DEFAULT now(),
  seq bigint UNIQUE,
  CHECK ((what = 'entries') = (entries IS NOT NULL)),
  CHECK ((what = 'entries') = (owner IS NULL))
);
CREATE INDEX erasures_unnumbered ON erasures (id) WHERE seq IS NULL;
CREATE TABLE erasure_head (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  seq bigint NOT NULL DEFAULT 0
);
INSERT INTO erasure_head DEFAULT VALUES;

CREATE FUNCTION erasure_of_key() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO erasures (what, owner) VALUES ('key', sha256(uuid_send(OLD.owner)));
  RETURN NULL;
END $$;
CREATE TRIGGER vault_keys_erased AFTER DELETE ON vault_keys
  FOR EACH ROW EXECUTE FUNCTION erasure_of_key();

-- A withdrawal that was only begun is to be gone on with, whatever had been destroyed by then.
CREATE FUNCTION erasure_of_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO erasures (what, owner) VALUES ('person', sha256(uuid_send(NEW.person)));
  RETURN NULL;
END $$;
CREATE TRIGGER withdrawals_asked AFTER INSERT ON withdrawals
  FOR EACH ROW WHEN (NEW.person IS NOT NULL) EXECUTE FUNCTION erasure_of_person();

CREATE FUNCTION erasure_of_entries() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO erasures (what, entries)
    SELECT 'entries', array_agg(id ORDER BY id) FROM gone HAVING count(*) > 0;
  RETURN NULL;
END $$;
CREATE TRIGGER entries_erased AFTER DELETE ON entries
  REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION erasure_of_entries();

GRANT SELECT, INSERT, UPDATE ON erasures, erasure_head TO consentry_app;
GRANT USAGE ON SEQUENCE erasures_id_seq TO consentry_app;
