-- name: batch_add
-- since: batches
-- Uploads by address that came together.
INSERT INTO batches (id, platform, once, items, received_at)
VALUES (%(id)s, %(platform)s, %(once)s, %(items)s, %(received_at)s);

-- name: batch_item_add
-- since: batches
-- An upload of a batch.
INSERT INTO batch_items (batch, number, screening) VALUES (%(batch)s, %(number)s, %(screening)s);

-- name: batch_get
-- since: batches
-- A batch, and how many of its uploads have their answer.
SELECT b.id, b.platform, b.items, b.received_at, b.done_at,
       (SELECT count(*) FROM batch_items i WHERE i.batch = b.id
          AND NOT EXISTS (SELECT FROM pending_references r WHERE r.id = i.screening)
          AND NOT EXISTS (SELECT FROM pending_films f WHERE f.id = i.screening)) AS answered
FROM batches b WHERE b.id = %(id)s;

-- name: batch_get
-- until: batches
-- There is none yet.
SELECT WHERE false;

-- name: batch_found
-- since: batches
-- The batch that came with an idempotency key since.
SELECT id FROM batches
WHERE platform = %(platform)s AND once = %(once)s AND received_at > %(since)s
ORDER BY received_at DESC LIMIT 1;

-- name: batch_items_page
-- since: batches
-- Uploads of a batch, in order, after a place.
SELECT number, screening FROM batch_items
WHERE batch = %(batch)s AND number > %(after)s ORDER BY number LIMIT %(limit)s;

-- name: batches_over
-- since: batches
-- Batches whose uploads all have their answers end; nobody else ends the same ones.
WITH over AS MATERIALIZED (
  SELECT b.id FROM batches b
  WHERE b.done_at IS NULL AND NOT EXISTS (
    SELECT FROM batch_items i WHERE i.batch = b.id
      AND (EXISTS (SELECT FROM pending_references r WHERE r.id = i.screening)
           OR EXISTS (SELECT FROM pending_films f WHERE f.id = i.screening)))
  ORDER BY b.received_at LIMIT %(limit)s FOR UPDATE OF b SKIP LOCKED
)
UPDATE batches SET done_at = %(now)s FROM over WHERE batches.id = over.id
RETURNING batches.id, platform, items, received_at, done_at, items AS answered;

-- name: batches_over
-- until: batches
-- There is none yet.
SELECT WHERE false;

-- name: batches_verdicts
-- since: batches
-- How a batch's uploads were answered.
SELECT s.verdict, count(*) AS count FROM batch_items i JOIN screenings s ON s.id = i.screening
WHERE i.batch = %(batch)s GROUP BY s.verdict ORDER BY s.verdict;

-- name: batches_purge
-- since: batches
-- Forget the batches that ended before; their uploads' answers stay.
DELETE FROM batches WHERE done_at <= %(before)s;

-- name: batches_purge
-- until: batches
-- There is none yet.
SELECT WHERE false;

-- name: batches_forget_keys
-- since: batches
-- Idempotency keys that are not honoured any more.
UPDATE batches SET once = NULL WHERE once IS NOT NULL AND received_at <= %(before)s;

-- name: batches_forget_keys
-- until: batches
-- There is none yet.
SELECT WHERE false;
