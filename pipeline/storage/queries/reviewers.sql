-- name: reviewers_add
-- A new reviewer, unless the login is taken.
INSERT INTO reviewers (login, password, role) VALUES (%(login)s, %(password)s, %(role)s)
ON CONFLICT (login) DO NOTHING
RETURNING id;

-- name: reviewers_by_login
-- A reviewer who may log in, with the digest of her password.
SELECT id, login, role, password FROM reviewers
WHERE login = %(login)s AND disabled_at IS NULL;

-- name: reviewers_all
-- Reviewers for the operator.
SELECT id, login, role, created_at, disabled_at FROM reviewers ORDER BY login;

-- name: reviewers_set_password
-- Another password.
UPDATE reviewers SET password = %(password)s WHERE id = %(reviewer)s;

-- name: reviewers_disable
-- A reviewer may not log in any more.
UPDATE reviewers SET disabled_at = %(now)s WHERE id = %(reviewer)s AND disabled_at IS NULL;

-- name: sessions_create
-- A session begins.
INSERT INTO sessions (digest, reviewer, csrf, created_at, seen_at, expires_at)
VALUES (%(digest)s, %(reviewer)s, %(csrf)s, %(now)s, %(now)s, %(expires)s);

-- name: sessions_get
-- A session in use: not ended, not idle for too long, its reviewer not disabled.
UPDATE sessions SET seen_at = greatest(seen_at, %(now)s)
FROM reviewers
WHERE digest = %(digest)s AND reviewers.id = sessions.reviewer
  AND expires_at > %(now)s AND seen_at > %(now)s::timestamptz - %(idle)s::interval
  AND disabled_at IS NULL
RETURNING reviewers.id, login, role, csrf;

-- name: sessions_delete
-- A session ends.
DELETE FROM sessions WHERE digest = %(digest)s;

-- name: sessions_end_all
-- All sessions of a reviewer end.
DELETE FROM sessions WHERE reviewer = %(reviewer)s;

-- name: sessions_purge
-- Remove sessions that ended by themselves.
DELETE FROM sessions
WHERE expires_at <= %(now)s OR seen_at <= %(now)s::timestamptz - %(idle)s::interval;
