-- name: vault_hold_rotation
-- While this transaction lasts, no key-encryption key is dropped: it may wrap under the current one.
SELECT pg_advisory_xact_lock_shared(7166187219346547301);

-- name: vault_end_creation
-- Wait for everyone who may wrap under an old key, and let nobody begin until this commits.
SELECT pg_advisory_xact_lock(7166187219346547301);

-- name: vault_begin_rotation
-- One rotation at a time; held by the connection, so that a killed one leaves nothing behind.
SELECT pg_try_advisory_lock(7166187219346547302) AS ours;

-- name: vault_add
-- Keep an owner's wrapped data key unless it has one.
INSERT INTO vault_keys (owner, kind, kek, wrapped)
VALUES (%(owner)s, %(kind)s, %(kek)s, %(wrapped)s)
ON CONFLICT (owner) DO NOTHING;

-- name: vault_key
-- One owner's wrapped data key.
SELECT kek, wrapped FROM vault_keys WHERE owner = %(owner)s;

-- name: vault_keys_of
-- The wrapped data keys of many owners.
SELECT owner, kek, wrapped FROM vault_keys WHERE owner = ANY(%(owners)s);

-- name: vault_shred
-- Destroy an owner's wrapped data key.
DELETE FROM vault_keys WHERE owner = %(owner)s;

-- name: vault_deployment
-- Which deployment this database is.
SELECT id FROM deployment;

-- name: vault_others
-- How many data keys are wrapped under any other key than this one.
SELECT count(*) FROM vault_keys WHERE kek <> %(kek)s;

-- name: vault_batch
-- Data keys that are still to be wrapped under another key, locked; those in use are left for later.
SELECT owner, kek, wrapped FROM vault_keys
WHERE kek <> %(kek)s
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED;

-- name: vault_rewrap
-- Keep data keys as they are wrapped now.
UPDATE vault_keys SET kek = %(kek)s, wrapped = new.wrapped
FROM unnest(%(owners)s::uuid[], %(wrapped)s::bytea[]) AS new (owner, wrapped)
WHERE vault_keys.owner = new.owner;
