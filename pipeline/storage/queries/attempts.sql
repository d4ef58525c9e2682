-- name: attempts_alone
-- Whether no other transaction is trying this subject just now; holds until this one ends.
SELECT pg_try_advisory_xact_lock(
  7166187, ('x' || encode(substr(sha256(%(subject)s), 1, 4), 'hex'))::bit(32)::integer
) AS alone;

-- name: attempts_wait
-- Seconds until the next try is allowed.
SELECT greatest(0, extract(epoch FROM not_before - %(now)s::timestamptz))::float8 AS seconds
FROM attempts WHERE subject = %(subject)s;

-- name: attempts_failed
-- Count a failure. For every whole hour since the subject could have tried again one is forgiven;
-- the first three cost nothing, then the wait doubles from 2 s up to 15 minutes.
INSERT INTO attempts AS kept (subject, failures, not_before)
VALUES (%(subject)s, 1, %(now)s)
ON CONFLICT (subject) DO UPDATE SET (failures, not_before) = (
  SELECT counted, %(now)s::timestamptz + CASE WHEN counted <= 3 THEN interval '0'
    ELSE least(interval '15 minutes', interval '1 second' * 2 ^ least(counted - 3, 30)) END
  FROM (SELECT 1 + greatest(0, kept.failures - greatest(0, floor(
    extract(epoch FROM %(now)s::timestamptz - kept.not_before) / 3600)))::integer AS counted) AS now
);

-- name: attempts_cleared
-- Forget a subject's failures.
DELETE FROM attempts WHERE subject = %(subject)s;

-- name: attempts_purge
-- Forget everyone whose failures are all forgiven.
DELETE FROM attempts WHERE not_before + failures * interval '1 hour' <= %(now)s;
