-- A reviewer's start page asks for the cases in her hands: a few, however many have been decided.
CREATE INDEX cases_held ON cases (lease_reviewer, lease_until) WHERE lease_reviewer IS NOT NULL;
