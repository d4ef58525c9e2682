-- name: jobs_add
-- A new job.
INSERT INTO jobs (kind, payload, max_attempts, run_at)
VALUES (%(kind)s, %(payload)s, %(max_attempts)s,
        coalesce(%(run_at)s::timestamptz, statement_timestamp()))
RETURNING id;

-- name: jobs_reclaim
-- Take jobs whose lease ran out; those that have used up their attempts are dead. Locked rows are
-- somebody else's to take.
WITH due AS MATERIALIZED (
  SELECT id FROM jobs
  WHERE kind = %(kind)s AND state = 'leased' AND lease_until <= statement_timestamp()
  ORDER BY lease_until, id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE jobs SET
    state = CASE WHEN attempts < max_attempts THEN 'leased' ELSE 'dead' END,
    lease_until = CASE WHEN attempts < max_attempts
                       THEN statement_timestamp() + %(lease)s::interval END,
    fence = fence + 1,
    attempts = least(attempts + 1, max_attempts),
    last_error = CASE WHEN attempts < max_attempts THEN last_error
      ELSE 'the worker of attempt ' || attempts || ', the last one allowed, never answered' END,
    finished_at = CASE WHEN attempts < max_attempts THEN NULL ELSE statement_timestamp() END
  FROM due WHERE jobs.id = due.id
  RETURNING jobs.id, kind, payload, attempts, max_attempts, fence, state
)
SELECT id, kind, payload, attempts, max_attempts, fence FROM taken
WHERE state = 'leased' ORDER BY id;

-- name: jobs_claim
-- Take jobs that are due, the longest waiting first. Locked rows are somebody else's to take.
WITH due AS MATERIALIZED (
  SELECT id FROM jobs
  WHERE kind = %(kind)s AND state = 'ready' AND run_at <= statement_timestamp()
  ORDER BY run_at, id LIMIT %(limit)s
  FOR UPDATE SKIP LOCKED
), taken AS (
  UPDATE jobs SET
    state = 'leased',
    lease_until = statement_timestamp() + %(lease)s::interval,
    fence = fence + 1,
    attempts = attempts + 1
  FROM due WHERE jobs.id = due.id
  RETURNING jobs.id, kind, payload, attempts, max_attempts, fence, run_at
)
SELECT id, kind, payload, attempts, max_attempts, fence FROM taken ORDER BY run_at, id;

-- name: jobs_renew
-- Hold a claimed job for longer.
UPDATE jobs SET lease_until = statement_timestamp() + %(lease)s::interval
WHERE id = %(id)s AND fence = %(fence)s AND state = 'leased';

-- name: jobs_done
-- A claimed job's work is done.
UPDATE jobs SET state = 'done', lease_until = NULL, finished_at = statement_timestamp()
WHERE id = %(id)s AND fence = %(fence)s AND state = 'leased';

-- name: jobs_failed
-- A claimed job's attempt failed: due again at a time, or dead without one or after its last.
UPDATE jobs SET
  state = CASE WHEN %(retry_at)s::timestamptz IS NULL OR attempts >= max_attempts
               THEN 'dead' ELSE 'ready' END,
  finished_at = CASE WHEN %(retry_at)s::timestamptz IS NULL OR attempts >= max_attempts
                     THEN statement_timestamp() END,
  run_at = coalesce(%(retry_at)s::timestamptz, run_at),
  lease_until = NULL,
  last_error = %(error)s
WHERE id = %(id)s AND fence = %(fence)s AND state = 'leased';

-- name: jobs_hand_back
-- A claimed job is due again at once, and its attempt never was.
UPDATE jobs SET state = 'ready', attempts = attempts - 1, run_at = statement_timestamp(),
  lease_until = NULL
WHERE id = %(id)s AND fence = %(fence)s AND state = 'leased';

-- name: jobs_replay
-- Give a dead job its attempts back.
UPDATE jobs SET state = 'ready', attempts = 0, run_at = statement_timestamp(), finished_at = NULL
WHERE id = %(id)s AND state = 'dead';

-- name: jobs_depth
-- What waits, is held and is dead of each kind, and for how long the oldest has been due.
-- In three parts, so that each can be answered from an index and none reads the jobs that are done.
-- What waited for a webhook that was removed is nothing that anybody must look after.
SELECT kind, sum(ready)::bigint AS ready, sum(leased)::bigint AS leased, sum(dead)::bigint AS dead,
       greatest(max(oldest), interval '0') AS oldest
FROM (
  SELECT kind, count(*) AS ready, 0 AS leased, 0 AS dead,
         statement_timestamp() - min(run_at) AS oldest
  FROM jobs WHERE state = 'ready' GROUP BY kind
  UNION ALL
  SELECT kind, 0, count(*), 0, NULL FROM jobs WHERE state = 'leased' GROUP BY kind
  UNION ALL
  SELECT j.kind, 0, 0, count(*), NULL FROM jobs j
  LEFT JOIN webhooks w ON j.kind = 'deliver' AND w.id::text = j.payload->>'webhook'
  WHERE j.state = 'dead' AND w.ended_at IS NULL GROUP BY j.kind
) AS parts
GROUP BY kind ORDER BY kind;

-- name: jobs_dead
-- Dead jobs, the latest first.
SELECT id, kind, payload, attempts, last_error, finished_at FROM jobs
WHERE state = 'dead' ORDER BY finished_at DESC, id DESC LIMIT %(limit)s;
