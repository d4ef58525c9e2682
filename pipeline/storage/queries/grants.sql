-- name: grant_end_earlier
-- A new grant for an account takes the place of an earlier one.
UPDATE grants SET revoked_at = %(now)s
WHERE digest = %(digest)s AND revoked_at IS NULL;

-- name: grant_add
-- An account may post a person until a day.
INSERT INTO grants (id, person, platform, digest, sealed, given_at, expires_at)
VALUES (%(id)s, %(person)s, %(platform)s, %(digest)s, %(sealed)s, %(given_at)s, %(expires_at)s);

-- name: grants_of
-- A person's grants, newest first.
SELECT id, person, platform, given_at, expires_at, revoked_at, sealed
FROM grants WHERE person = %(person)s ORDER BY given_at DESC, id DESC;

-- name: grants_holding
-- Those in force now.
SELECT g.id, g.person, g.platform, g.given_at, g.expires_at, g.revoked_at
FROM grants g JOIN persons p ON p.id = g.person
WHERE g.digest = ANY(%(digests)s::bytea[]) AND g.revoked_at IS NULL AND g.expires_at > %(now)s
  AND p.withdrawn_at IS NULL;

-- name: grant_revoke
-- End a grant.
UPDATE grants SET revoked_at = %(now)s
WHERE id = %(id)s AND person = %(person)s AND revoked_at IS NULL;

-- name: grants_destroy
-- Delete all of a person's grants.
DELETE FROM grants WHERE person = %(person)s;
