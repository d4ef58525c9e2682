-- name: answer_alone
-- One transaction at a time answers a message.
SELECT pg_advisory_xact_lock(hashtextextended(%(message)s, 43));

-- name: answer_keep
-- What was answered to a message, until it is known or the time has passed.
INSERT INTO answers (message, person, sealed, until)
VALUES (%(message)s, %(person)s, %(sealed)s, %(until)s)
ON CONFLICT (message) DO UPDATE
SET person = excluded.person, sealed = excluded.sealed, until = excluded.until;

-- name: answer_get
-- What was answered to a message, if that may still be told.
SELECT person, sealed FROM answers WHERE message = %(message)s AND until > %(now)s;

-- name: answers_forget
-- She has what she was answered, or she leaves.
DELETE FROM answers WHERE person = %(person)s;

-- name: answers_purge
-- Remove answers whose time has passed.
DELETE FROM answers WHERE until <= %(now)s;
