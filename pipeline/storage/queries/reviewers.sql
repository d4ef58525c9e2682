-- name: reviewers_add
-- A new reviewer, unless the login is taken.
INSERT INTO reviewers (login, password, role) VALUES (%(login)s, %(password)s, %(role)s)
ON CONFLICT (login) DO NOTHING
RETURNING id;

-- name: reviewers_by_login
-- A reviewer who may log in, with the digest of her password.
SELECT id, login, role, pseudonym, queues, preferences, password FROM reviewers
WHERE login = %(login)s AND disabled_at IS NULL;

-- name: reviewers_all
-- Reviewers for the operator.
SELECT id, login, role, pseudonym, queues, created_at, disabled_at,
       (SELECT count(*) FROM second_factors f WHERE f.reviewer = reviewers.id) AS factors
FROM reviewers ORDER BY login;

-- name: reviewers_set_password
-- Another password.
UPDATE reviewers SET password = %(password)s WHERE id = %(reviewer)s;

-- name: reviewers_disable
-- A reviewer may not log in any more.
UPDATE reviewers SET disabled_at = %(now)s WHERE id = %(reviewer)s AND disabled_at IS NULL;

-- name: sessions_create
-- A session begins.
INSERT INTO sessions (digest, reviewer, csrf, created_at, seen_at, expires_at, proven)
VALUES (%(digest)s, %(reviewer)s, %(csrf)s, %(now)s, %(now)s, %(expires)s, %(proven)s);

-- name: sessions_prove
-- The second factor was given.
UPDATE sessions SET proven = true, challenge = NULL WHERE digest = %(digest)s;

-- name: sessions_challenge_set
-- What a security key was asked to sign.
UPDATE sessions SET challenge = %(challenge)s WHERE digest = %(digest)s;

-- name: sessions_challenge
-- What a security key was asked to sign.
SELECT challenge FROM sessions WHERE digest = %(digest)s;

-- name: reviewers_set_role
-- Another role.
UPDATE reviewers SET role = %(role)s WHERE id = %(reviewer)s;

-- name: reviewers_set_queues
-- Which queues somebody works at.
UPDATE reviewers SET queues = %(queues)s WHERE id = %(reviewer)s;

-- name: reviewers_set_preferences
-- What somebody chose for themself.
UPDATE reviewers SET preferences = %(preferences)s WHERE id = %(reviewer)s;

-- name: platform_exclude
-- No cases of a platform for somebody.
INSERT INTO platform_exclusions (platform, reviewer) VALUES (%(platform)s, %(reviewer)s)
ON CONFLICT DO NOTHING;

-- name: factors_of
-- Somebody's second factors.
SELECT id, kind, credential, public_key, counter, sealed, created_at, used_at
FROM second_factors WHERE reviewer = %(reviewer)s ORDER BY created_at;

-- name: factor_add
-- A second factor.
INSERT INTO second_factors (reviewer, kind, credential, public_key, counter, sealed)
VALUES (%(reviewer)s, %(kind)s, %(credential)s, %(public_key)s, %(counter)s, %(sealed)s);

-- name: factor_use
-- A second factor was used. Keys that count nothing say zero every time; codes must grow.
UPDATE second_factors SET counter = %(counter)s, used_at = %(now)s
WHERE id = %(id)s AND (counter < %(counter)s OR (kind = 'key' AND counter = 0 AND %(counter)s = 0));

-- name: factors_forget
-- Somebody lost theirs.
DELETE FROM second_factors WHERE reviewer = %(reviewer)s;

-- name: sessions_get
-- A session in use: not ended, not idle for too long, its reviewer not disabled.
UPDATE sessions SET seen_at = greatest(seen_at, %(now)s)
FROM reviewers
WHERE digest = %(digest)s AND reviewers.id = sessions.reviewer
  AND expires_at > %(now)s AND seen_at > %(now)s::timestamptz - %(idle)s::interval
  AND disabled_at IS NULL
RETURNING reviewers.id, login, role, pseudonym, queues, preferences, csrf, proven;

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
