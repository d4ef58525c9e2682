-- name: sift_add
-- Old media are to be read again.
INSERT INTO sifts (id, platform, source, rating, asked_at, asked_by)
VALUES (%(id)s, %(platform)s, %(source)s, %(rating)s, %(asked_at)s, %(asked_by)s);

-- name: sift_get
-- A reading of old media.
SELECT id, platform, source, rating, asked_at, asked_by, listed, complete FROM sifts
WHERE id = %(id)s;

-- name: sift_unfinished
-- A reading of a source that was begun, and is not at its end.
SELECT s.id, s.platform, s.source, s.rating, s.asked_at, s.asked_by, s.listed, s.complete FROM sifts s
WHERE s.platform = %(platform)s AND s.source = %(source)s
  AND (NOT s.complete OR EXISTS (SELECT FROM sift_batches b WHERE b.sift = s.id AND b.done_at IS NULL))
ORDER BY s.asked_at DESC LIMIT 1;

-- name: sift_listed
-- So many references have become batches; whoever lists from an older state gets no row.
UPDATE sifts SET listed = listed + %(more)s, complete = %(complete)s
WHERE id = %(id)s AND listed = %(before)s AND NOT complete RETURNING id;

-- name: sift_batch_add
-- A batch of references, with its job.
INSERT INTO sift_batches (sift, number, job, items, refs)
VALUES (%(sift)s, %(number)s, %(job)s, %(items)s, %(refs)s);

-- name: sift_batch
-- A batch that is not done.
SELECT refs FROM sift_batches
WHERE sift = %(sift)s AND number = %(number)s AND done_at IS NULL;

-- name: sift_batch_done
-- A batch was read: how it went, and its references are gone.
UPDATE sift_batches SET done_at = %(now)s, clear = %(clear)s, refused = %(refused)s,
  found = %(found)s, seconds = %(seconds)s, refs = NULL
WHERE sift = %(sift)s AND number = %(number)s AND done_at IS NULL;

-- name: sift_progress
-- How far a reading has come.
SELECT count(*) AS batches, count(*) FILTER (WHERE b.done_at IS NOT NULL) AS done,
       count(*) FILTER (WHERE j.state = 'dead') AS dead, coalesce(sum(b.items), 0)::bigint AS items,
       coalesce(sum(b.items) FILTER (WHERE b.done_at IS NOT NULL), 0)::bigint AS items_done,
       coalesce(sum(b.clear), 0)::bigint AS clear, coalesce(sum(b.refused), 0)::bigint AS refused,
       coalesce(sum(b.found), 0)::bigint AS found, coalesce(sum(b.seconds), 0)::float8 AS seconds
FROM sift_batches b JOIN jobs j ON j.id = b.job WHERE b.sift = %(sift)s;

-- name: sift_revive
-- Give the given-up batches of a reading their attempts back.
UPDATE jobs SET state = 'ready', attempts = 0, run_at = statement_timestamp(), finished_at = NULL
WHERE state = 'dead' AND id IN (SELECT job FROM sift_batches WHERE sift = %(sift)s);
