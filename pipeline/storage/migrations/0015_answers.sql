-- What was answered to a person's message, for as long as the answer may have been lost on its way.
-- Locked twice: by a key made from the message, which is kept nowhere, and by her own.
CREATE TABLE answers (
  message bytea PRIMARY KEY,
  person uuid NOT NULL REFERENCES persons ON DELETE CASCADE,
  sealed bytea NOT NULL,
  until timestamptz NOT NULL
);
CREATE INDEX answers_by_person ON answers (person);
GRANT SELECT, INSERT, UPDATE, DELETE ON answers TO consentry_app;
