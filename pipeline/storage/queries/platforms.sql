-- name: platform_add
-- A new platform; no row when the name is taken.
INSERT INTO platforms (name) VALUES (%(name)s)
ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: api_key_add
-- A new API key, by its digest.
INSERT INTO api_keys (platform, digest, per_minute)
VALUES (%(platform)s, %(digest)s, %(per_minute)s) RETURNING id;

-- name: api_key_find
-- The platform that a key's digest belongs to.
SELECT k.platform, k.id, k.per_minute FROM api_keys k JOIN platforms p ON p.id = k.platform
WHERE k.digest = %(digest)s AND k.revoked_at IS NULL AND p.disabled_at IS NULL;

-- name: api_keys_revoke
-- End all keys of a platform.
UPDATE api_keys SET revoked_at = now() WHERE platform = %(platform)s AND revoked_at IS NULL;

-- name: platform_allow_host
-- A host from which a platform's uploads may be fetched.
INSERT INTO platform_hosts (platform, host, private)
VALUES (%(platform)s, %(host)s, %(private)s)
ON CONFLICT (platform, host) DO UPDATE SET private = excluded.private;

-- name: platform_forget_host
-- Not any more.
DELETE FROM platform_hosts WHERE platform = %(platform)s AND host = %(host)s;

-- name: platform_hosts
-- All hosts from which a platform's uploads may be fetched.
SELECT host, private FROM platform_hosts WHERE platform = %(platform)s ORDER BY host;

-- name: platform_set_language
-- In which language a platform's uploads are.
UPDATE platforms SET language = %(language)s WHERE id = %(platform)s;

-- name: platform_by_name
-- A platform's id.
SELECT id FROM platforms WHERE name = %(name)s;

-- name: platforms_all
-- Platforms for the operator.
SELECT p.id, p.name, p.language, p.created_at, p.disabled_at,
       (SELECT count(*) FROM webhooks w WHERE w.platform = p.id AND w.ended_at IS NULL) AS webhooks,
       (SELECT count(*) FROM api_keys k WHERE k.platform = p.id AND k.revoked_at IS NULL) AS keys
FROM platforms p ORDER BY p.name;
