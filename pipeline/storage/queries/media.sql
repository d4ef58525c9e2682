-- name: medium_add
-- An upload under review.
INSERT INTO media (id, case_id, screening, blob, size, mime, codes, stored_at, held_until,
                   destroy_at)
SELECT %(id)s, %(case)s, %(screening)s, %(blob)s, %(size)s, %(mime)s, %(codes)s, %(now)s,
       guarded.until, guarded.until
FROM (SELECT (SELECT %(now)s::timestamptz + interval '365 days' FROM cases
              WHERE id = %(case)s AND state = 'frozen') AS until) AS guarded;

-- name: media_of_case
-- A case's media.
SELECT id, case_id, screening, blob, size, mime, codes, destroyed_at FROM media
WHERE case_id = %(case)s ORDER BY stored_at, id;

-- name: media_destroy_at
-- When a case's media must be gone; never before the law allows it.
UPDATE media SET destroy_at = greatest(%(when)s::timestamptz, held_until)
WHERE case_id = %(case)s AND destroyed_at IS NULL;

-- name: media_hold
-- Keep a case's media until then, whatever anybody asks; they are destroyed when the hold ends.
UPDATE media SET held_until = %(until)s,
  destroy_at = CASE WHEN %(until)s::timestamptz IS NULL THEN NULL ELSE %(until)s END
WHERE case_id = %(case)s AND destroyed_at IS NULL;

-- name: media_due_now
-- Media whose time has come; two workers never take the same ones.
SELECT id, case_id, screening, blob, size, mime, codes, destroyed_at FROM media
WHERE destroyed_at IS NULL AND destroy_at <= %(now)s
  AND (held_until IS NULL OR held_until <= %(now)s)
ORDER BY destroy_at LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: medium_destroyed
-- A medium is gone, its codes with it.
UPDATE media SET destroyed_at = %(now)s, codes = NULL WHERE id = %(id)s;

-- name: media_known
-- Which blobs belong to a medium that is not destroyed, or to a video that is being looked at.
SELECT id FROM media WHERE id = ANY(%(ids)s::uuid[]) AND destroyed_at IS NULL
UNION SELECT medium FROM pending_films WHERE medium = ANY(%(ids)s::uuid[]);

-- name: medium_paths_forget
-- Where faces lay in an upload, moment by moment, goes with the upload.
UPDATE case_hits h SET stretches = (SELECT jsonb_agg(one - 'path' ORDER BY place)
  FROM jsonb_array_elements(h.stretches) WITH ORDINALITY AS each(one, place))
FROM media m
WHERE m.id = %(id)s AND h.case_id = m.case_id AND h.screening = m.screening
  AND h.stretches @> '[{"path": []}]';
