-- additive
-- The case through which a verifier is asked whose face an enrolment is. Those that wait already get
-- theirs from the worker.
ALTER TABLE enrolments ADD COLUMN case_id uuid REFERENCES cases;
CREATE INDEX enrolments_by_case ON enrolments (case_id) WHERE case_id IS NOT NULL;
