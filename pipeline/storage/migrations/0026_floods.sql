-- Entries that suddenly match many unrelated uploads: which of an item's codes (signal/slot) wait for
-- a lead, which were kept out, and what was counted. Gone with the item and with its person.
CREATE TABLE floods (
  item uuid PRIMARY KEY,
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  parked text[] NOT NULL DEFAULT '{}',
  kept_out text[] NOT NULL DEFAULT '{}',
  uploads integer NOT NULL,
  accounts integer NOT NULL,
  since timestamptz NOT NULL,
  decided_at timestamptz,
  decided_by uuid REFERENCES reviewers
);
CREATE INDEX floods_by_person ON floods (person);
CREATE INDEX floods_parked ON floods (since) WHERE parked <> '{}';
GRANT SELECT, INSERT, UPDATE, DELETE ON floods TO consentry_app;

-- Whether a hit is only roughly alike, with nothing else that speaks for it.
ALTER TABLE case_hits ADD COLUMN loose boolean NOT NULL DEFAULT false;
CREATE INDEX cases_parked ON cases (id) WHERE state = 'parked';
