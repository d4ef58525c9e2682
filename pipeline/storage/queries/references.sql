-- name: reference_waiting
-- since: batches
-- How many of a platform's uploads wait to be fetched. Whoever adds more does so one after another.
SELECT (SELECT count(*) FROM pending_references r WHERE r.platform = p.id) AS waiting
FROM platforms p WHERE p.id = %(platform)s FOR NO KEY UPDATE OF p;

-- name: reference_add
-- since: batches
-- An upload waits to be fetched.
INSERT INTO pending_references (id, platform, content_id, rating, sealed, job, received_at)
VALUES (%(id)s, %(platform)s, %(content_id)s, %(rating)s, %(sealed)s, %(job)s, %(received_at)s);

-- name: reference_get
-- since: batches
-- An upload that waits to be fetched.
SELECT id, platform, content_id, rating, sealed, job, received_at FROM pending_references
WHERE id = %(id)s;

-- name: reference_get
-- until: batches
-- None waits yet.
SELECT WHERE false;

-- name: reference_end
-- since: batches
-- The upload has its answer, or its own place among the videos.
DELETE FROM pending_references WHERE id = %(id)s;

-- name: reference_claim
-- since: batches
-- Take an upload to fetch: of the platform that has fewest being fetched, and fewer than `most`.
-- Among those the longest waiting. Locked rows are somebody else's to take.
WITH held AS (
  SELECT r.platform, count(*) AS count FROM pending_references r JOIN jobs j ON j.id = r.job
  WHERE j.state = 'leased' GROUP BY r.platform
), due AS MATERIALIZED (
  SELECT j.id FROM jobs j JOIN pending_references r ON r.job = j.id
  LEFT JOIN held h ON h.platform = r.platform
  WHERE j.kind = %(kind)s AND j.state = 'ready' AND j.run_at <= statement_timestamp()
    AND coalesce(h.count, 0) < %(most)s
  ORDER BY coalesce(h.count, 0), j.run_at, j.id LIMIT 1
  FOR UPDATE OF j SKIP LOCKED
), taken AS (
  UPDATE jobs SET
    state = 'leased',
    lease_until = statement_timestamp() + %(lease)s::interval,
    fence = fence + 1,
    attempts = attempts + 1
  FROM due WHERE jobs.id = due.id
  RETURNING jobs.id, kind, payload, attempts, max_attempts, fence
)
SELECT id, kind, payload, attempts, max_attempts, fence FROM taken;

-- name: reference_claim
-- until: batches
-- None waits yet.
SELECT WHERE false;

-- name: references_given_up
-- since: batches
-- Uploads whose work was given up without an answer: their job is dead, or gone.
SELECT r.id, r.platform, r.content_id, r.rating, r.sealed, r.job, r.received_at
FROM pending_references r LEFT JOIN jobs j ON j.id = r.job
WHERE j.state IN ('dead', 'done') OR j.id IS NULL
ORDER BY r.received_at LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED;

-- name: references_given_up
-- until: batches
-- None waits yet.
SELECT WHERE false;

-- name: references_understood
-- since: batches
-- Whether no process of a version before is connected as this deployment: it could not read a refusal
-- by the name of `unreachable` (migration 30). Those do not say what they know, or know less.
SELECT NOT EXISTS (
  SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.usename = session_user
    AND a.backend_start < statement_timestamp() - interval '10 seconds'
    AND (a.application_name = ''
         OR substring(a.application_name FROM '^consentry ([0-9]+)$')::integer < 30));

-- name: references_understood
-- until: batches
-- None waits yet.
SELECT false;
