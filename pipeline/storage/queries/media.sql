-- name: medium_add
-- An upload under review.
INSERT INTO media (id, case_id, screening, blob, size, mime, codes, stored_at)
VALUES (%(id)s, %(case)s, %(screening)s, %(blob)s, %(size)s, %(mime)s, %(codes)s, %(now)s);

-- name: media_of_case
-- A case's media.
SELECT id, case_id, screening, blob, size, mime, codes, destroyed_at FROM media
WHERE case_id = %(case)s ORDER BY stored_at, id;

-- name: media_destroy_at
-- When a case's media must be gone.
UPDATE media SET destroy_at = %(when)s WHERE case_id = %(case)s AND destroyed_at IS NULL;

-- name: media_due_now
-- Media whose time has come; two workers never take the same ones.
SELECT id, case_id, screening, blob, size, mime, codes, destroyed_at FROM media
WHERE destroyed_at IS NULL AND destroy_at <= %(now)s
ORDER BY destroy_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: medium_destroyed
-- A medium is gone, its codes with it.
UPDATE media SET destroyed_at = %(now)s, codes = NULL WHERE id = %(id)s;

-- name: media_known
-- Which blobs belong to a medium that is not destroyed, or to a video that is being looked at.
SELECT id FROM media WHERE id = ANY(%(ids)s::uuid[]) AND destroyed_at IS NULL
UNION SELECT medium FROM pending_films WHERE medium = ANY(%(ids)s::uuid[]);
