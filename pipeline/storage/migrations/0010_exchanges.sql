-- Partners' lists. A list is held by a holder of its own (a row of persons whose PIN nobody knows):
-- its hashes are entries like everybody's, under one key, and leave in the same way.
CREATE TABLE exchanges (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  name text NOT NULL UNIQUE,
  kind text NOT NULL,
  holder uuid NOT NULL UNIQUE REFERENCES persons ON DELETE CASCADE,
  settings bytea NOT NULL,
  cursor text,
  whole boolean NOT NULL DEFAULT true,
  generation integer NOT NULL DEFAULT 0,
  held_until timestamptz,
  began_at timestamptz,
  finished_at timestamptz,
  problem text,
  created_at timestamptz NOT NULL DEFAULT now()
);
-- One record of a partner. `digest` and `print` are keyed; the partner's name of it lies sealed,
-- since it may be the hash itself.
CREATE TABLE exchange_records (
  exchange uuid NOT NULL REFERENCES exchanges ON DELETE CASCADE,
  digest bytea NOT NULL,
  print bytea NOT NULL,
  item uuid NOT NULL,
  sealed bytea NOT NULL,
  generation integer NOT NULL,
  PRIMARY KEY (exchange, digest)
);
CREATE INDEX exchange_records_by_item ON exchange_records (item);
CREATE INDEX exchange_records_by_generation ON exchange_records (exchange, generation);
-- What could not be used of a partner's list in its newest reading.
CREATE TABLE exchange_troubles (
  exchange uuid NOT NULL REFERENCES exchanges ON DELETE CASCADE,
  number integer NOT NULL,
  place text NOT NULL,
  why text NOT NULL,
  PRIMARY KEY (exchange, number)
);
-- What a partner was told of a decided case.
CREATE TABLE exchange_reports (
  exchange uuid NOT NULL REFERENCES exchanges ON DELETE CASCADE,
  digest bytea NOT NULL,
  case_id uuid NOT NULL REFERENCES cases,
  feedback text NOT NULL,
  told_at timestamptz NOT NULL,
  PRIMARY KEY (exchange, digest, case_id)
);
GRANT SELECT, INSERT, UPDATE, DELETE
  ON exchanges, exchange_records, exchange_troubles, exchange_reports TO consentry_app;
CREATE INDEX entries_of_items ON entries (item);
