-- additive
-- Partners' lists are banks too (the longest time stands for as long as a list names a code): how long their codes are kept, what share of them counts, how near
-- an upload must come, and whether the list is only tried.
ALTER TABLE banks
  ADD COLUMN kind text NOT NULL DEFAULT 'negative' CHECK (kind IN ('negative', 'partner')),
  ADD COLUMN test boolean NOT NULL DEFAULT false,
  ADD COLUMN share double precision NOT NULL DEFAULT 1 CHECK (share BETWEEN 0 AND 1),
  ADD COLUMN seed bigint NOT NULL DEFAULT 0,
  ADD COLUMN within jsonb NOT NULL DEFAULT '{}';
INSERT INTO banks (name, holder, kind, keeps)
SELECT CASE WHEN EXISTS (SELECT FROM banks b WHERE b.name = x.name) THEN x.name || ' (list)'
            ELSE x.name END, x.holder, 'partner', interval '3650 days'
FROM exchanges x;

-- Platforms that try a list first: its hits count for nothing there.
CREATE TABLE bank_tries (
  holder uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  platform uuid NOT NULL REFERENCES platforms,
  PRIMARY KEY (holder, platform)
);
-- Uploads that a bank which is only tried would have had a person look at.
CREATE TABLE bank_trials (
  holder uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  screening uuid NOT NULL,
  platform uuid NOT NULL REFERENCES platforms,
  at timestamptz NOT NULL,
  PRIMARY KEY (holder, screening)
);
CREATE INDEX bank_trials_by_platform ON bank_trials (platform, holder, screening);
CREATE INDEX bank_trials_by_age ON bank_trials (at);
GRANT SELECT, INSERT, UPDATE, DELETE ON bank_tries, bank_trials TO consentry_app;
