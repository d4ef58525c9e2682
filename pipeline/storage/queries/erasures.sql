-- name: erasures_hold
-- Number erasures one at a time; whoever numbers them holds this.
SELECT seq FROM erasure_head FOR UPDATE;

-- name: erasures_number
-- Give every committed erasure that has none its place in the list.
WITH fresh AS (
  SELECT id, row_number() OVER (ORDER BY id) AS place FROM erasures WHERE seq IS NULL
), numbered AS (
  UPDATE erasures e SET seq = h.seq + f.place FROM fresh f, erasure_head h WHERE e.id = f.id
  RETURNING e.seq
)
UPDATE erasure_head SET seq = greatest(seq, coalesce((SELECT max(seq) FROM numbered), seq));

-- name: erasures_after
-- What was erased after a place in the list, in order.
SELECT seq, what, owner, entries, at FROM erasures
WHERE seq > %(seq)s ORDER BY seq LIMIT %(limit)s;

-- name: erasures_found
-- Whose keys these digests are of, of those that are (still, or again) there.
SELECT sha256(uuid_send(owner)) AS digest, owner, kind FROM vault_keys
WHERE sha256(uuid_send(owner)) = ANY(%(digests)s::bytea[]);

-- name: erasures_owners
-- Whose these entries are, of those that are (still, or again) there.
SELECT id, person FROM entries WHERE id = ANY(%(entries)s::bigint[]);

-- name: erasures_after_restore
-- Leave room in every sequence, so that no id or step of the lost history is given a second time.
UPDATE erasure_head SET seq = greatest(seq, %(listed)s::bigint) + %(room)s::bigint;

-- name: changes_after_restore
-- The same for the change log: a process that saw the lost history loads anew.
UPDATE change_head SET seq = seq + %(room)s::bigint;

-- name: entries_after_restore
-- The same for entries, whose ids stand in lists of erasures.
SELECT setval(pg_get_serial_sequence('consentry.entries', 'id'),
  (SELECT coalesce(max(id), 0) FROM entries) + %(room)s::bigint) AS last;

-- name: followers_after_restore
-- No process of before the restore runs on this history.
DELETE FROM followers;
