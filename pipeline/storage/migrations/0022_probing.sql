-- Uploads of one account that were near to one registered item, by keyed digests alone, for as long
-- as the window in which they are counted; and when that were too many. Gone with the person.
CREATE TABLE probes (
  subject bytea NOT NULL,
  print bytea NOT NULL,
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  hit boolean NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (subject, print)
);
CREATE INDEX probes_by_person ON probes (person);
CREATE INDEX probes_by_age ON probes (at);
CREATE TABLE probe_alarms (
  subject bytea NOT NULL,
  platform uuid NOT NULL REFERENCES platforms,
  uploads integer NOT NULL,
  at timestamptz NOT NULL,
  PRIMARY KEY (subject, at)
);
CREATE INDEX probe_alarms_by_age ON probe_alarms (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON probes, probe_alarms TO consentry_app;
