-- What a case asks of whom, until when the law gives us, and how urgent it is beside others.
ALTER TABLE cases
  ADD COLUMN kind text NOT NULL DEFAULT 'hash'
    CHECK (kind IN ('hash', 'face', 'notice', 'appeal', 'enrolment')),
  ADD COLUMN deadline timestamptz,
  ADD COLUMN priority smallint NOT NULL DEFAULT 0;
