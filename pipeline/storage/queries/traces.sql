-- name: traces_open
-- The owner of a day's key; the day's partitions are made where there are none.
SELECT traces_open(%(day)s::date);

-- name: traces_close
-- Drop all that uploads of a day left; the owner of the day's key.
SELECT traces_close(%(day)s::date);

-- name: trace_days
-- The days of which something is left, oldest first.
SELECT day, owner FROM trace_days ORDER BY day;

-- name: trace_add
-- What an upload leaves.
INSERT INTO traces (day, screening, index_seq, sealed)
VALUES (%(day)s, %(screening)s, %(index_seq)s, %(sealed)s);

-- name: traces_to_press
-- Loose rows of a day, the oldest first; two pressers never take the same ones.
SELECT screening, index_seq, sealed FROM traces
WHERE day = %(day)s AND (%(after)s::uuid IS NULL OR screening > %(after)s::uuid)
ORDER BY screening LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: traces_pressed
-- Loose rows that lie in a segment now.
DELETE FROM traces WHERE day = %(day)s AND screening = ANY(%(screenings)s::uuid[]);

-- name: traces_loose
-- About how many codes the loose rows of each day have, of so many rows at most: a picture counts
-- once, a video as often as it has stretches.
SELECT d.day,
       (SELECT coalesce(sum(greatest(1, (octet_length(part.sealed) - 1024) / 43)), 0)::bigint
        FROM (SELECT t.sealed FROM traces t WHERE t.day = d.day LIMIT %(upto)s) AS part) AS rows
FROM trace_days d ORDER BY d.day;

-- name: traces_read
-- Loose rows of a day from before a change, those not visible in a snapshot if one is given.
SELECT screening, sealed FROM traces
WHERE day = %(day)s AND index_seq < %(upto)s
  AND (%(after)s::pg_snapshot IS NULL OR NOT pg_visible_in_snapshot(tx, %(after)s::pg_snapshot))
ORDER BY screening;

-- name: trace_segment_add
-- A segment's rows.
INSERT INTO trace_segments (day, id, rows, least_seq, last_at, uploads)
VALUES (%(day)s, %(id)s, %(rows)s, %(least_seq)s, %(last_at)s, %(uploads)s);

-- name: trace_column_add
-- A segment's codes in one space.
INSERT INTO trace_columns (day, segment, space, codes)
VALUES (%(day)s, %(segment)s, %(space)s, %(codes)s);

-- name: trace_segment
-- Whose the rows of a segment are.
SELECT rows, uploads FROM trace_segments WHERE day = %(day)s AND id = %(id)s;

-- name: trace_columns
-- A segment's codes.
SELECT space, codes FROM trace_columns WHERE day = %(day)s AND segment = %(segment)s;

-- name: traces_figures
-- How much is kept: segments, their rows, and the first day.
SELECT count(*) AS segments, coalesce(sum(rows), 0) AS rows,
       (SELECT min(day) FROM trace_days) AS first_day
FROM trace_segments;

-- name: sweep_add
-- Earlier uploads are to be searched.
INSERT INTO sweeps (id, asked_at, asked_by, after_seq, upto_seq, since, radii)
VALUES (%(id)s, %(asked_at)s, %(asked_by)s, %(after_seq)s, %(upto_seq)s, %(since)s, %(radii)s);

-- name: sweep_get
-- A sweep.
SELECT id, asked_at, asked_by, after_seq, upto_seq, since, radii, planned, closed_at FROM sweeps
WHERE id = %(id)s;

-- name: sweep_latest
-- The newest sweep.
SELECT id, asked_at, asked_by, after_seq, upto_seq, since, radii, planned, closed_at FROM sweeps
ORDER BY asked_at DESC, id DESC LIMIT 1;

-- name: sweeps_open
-- Sweeps that late uploads may still join, the oldest first; held by whoever plans.
SELECT id, asked_at, asked_by, after_seq, upto_seq, since, radii, planned, closed_at FROM sweeps
WHERE closed_at IS NULL ORDER BY asked_at, id FOR UPDATE SKIP LOCKED;

-- name: sweep_lock
-- A sweep, held by whoever plans it.
SELECT id FROM sweeps WHERE id = %(id)s AND closed_at IS NULL FOR UPDATE;

-- name: sweep_plan_segments
-- Segments with uploads from before the newest change that this sweep does not know yet.
WITH fresh AS (
  SELECT g.day, g.id, g.rows,
         row_number() OVER (ORDER BY g.day DESC, g.id)
           + coalesce((SELECT max(number) FROM sweep_chunks WHERE sweep = %(sweep)s), 0) AS number
  FROM trace_segments g, sweeps s
  WHERE s.id = %(sweep)s AND g.least_seq < s.upto_seq
    AND (s.since IS NULL OR g.last_at >= s.since)
    AND NOT EXISTS (SELECT FROM sweep_chunks c WHERE c.sweep = s.id AND c.segment = g.id)
)
INSERT INTO sweep_chunks (sweep, number, day, segment, rows)
SELECT %(sweep)s, number, day, id, rows FROM fresh;

-- name: sweep_plan_loose
-- The days with loose rows from before the newest change that this sweep could not have seen yet;
-- in the same statement, hence of the same moment, it is written down what it can see now.
WITH late AS (
  SELECT t.day, count(*) AS rows FROM traces t, sweeps s
  WHERE s.id = %(sweep)s AND t.index_seq < s.upto_seq
    AND (s.since IS NULL OR t.day >= (s.since AT TIME ZONE 'UTC')::date)
    AND (s.seen IS NULL OR NOT pg_visible_in_snapshot(t.tx, s.seen))
  GROUP BY t.day
), planned AS (
  UPDATE sweeps SET seen = pg_current_snapshot(), planned = true WHERE id = %(sweep)s
)
INSERT INTO sweep_chunks (sweep, number, day, after, rows)
SELECT s.id, row_number() OVER (ORDER BY l.day DESC)
         + coalesce((SELECT max(number) FROM sweep_chunks WHERE sweep = s.id), 0),
       l.day, s.seen, l.rows
FROM late l, sweeps s WHERE s.id = %(sweep)s;

-- name: sweep_jobs
-- A job for every piece that has none.
WITH made AS (
  INSERT INTO jobs (kind, payload, max_attempts, run_at)
  SELECT %(kind)s, jsonb_build_object('sweep', sweep::text, 'number', number), %(max_attempts)s,
         statement_timestamp()
  FROM sweep_chunks WHERE sweep = %(sweep)s AND job IS NULL AND done_at IS NULL
  RETURNING id, (payload->>'number')::integer AS number
)
UPDATE sweep_chunks c SET job = made.id FROM made
WHERE c.sweep = %(sweep)s AND c.number = made.number;

-- name: sweep_chunk
-- A piece of a sweep.
SELECT c.sweep, c.number, c.day, c.segment, c.after::text AS after, c.rows, d.owner
FROM sweep_chunks c LEFT JOIN trace_days d ON d.day = c.day
WHERE c.sweep = %(sweep)s AND c.number = %(number)s AND c.done_at IS NULL;

-- name: sweep_chunk_done
-- A piece was searched.
UPDATE sweep_chunks SET done_at = %(now)s, compared = %(compared)s, found = %(found)s,
  seconds = %(seconds)s
WHERE sweep = %(sweep)s AND number = %(number)s AND done_at IS NULL;

-- name: sweep_progress
-- How far a sweep has come.
SELECT count(*) AS chunks, count(*) FILTER (WHERE c.done_at IS NOT NULL) AS done,
       count(*) FILTER (WHERE j.state = 'dead') AS dead,
       coalesce(sum(c.rows), 0)::bigint AS rows,
       coalesce(sum(c.rows) FILTER (WHERE c.done_at IS NOT NULL), 0)::bigint AS rows_done,
       coalesce(sum(c.compared), 0)::float8 AS compared, coalesce(sum(c.found), 0)::bigint AS found,
       coalesce(sum(c.seconds), 0)::float8 AS seconds
FROM sweep_chunks c LEFT JOIN jobs j ON j.id = c.job WHERE c.sweep = %(sweep)s;

-- name: sweep_revive
-- Give the given-up pieces of a sweep their attempts back.
UPDATE jobs SET state = 'ready', attempts = 0, run_at = statement_timestamp(), finished_at = NULL
WHERE state = 'dead' AND id IN (SELECT job FROM sweep_chunks WHERE sweep = %(sweep)s);

-- name: sweep_close
-- No late upload can join a sweep any more.
UPDATE sweeps SET closed_at = %(now)s WHERE id = %(sweep)s AND NOT EXISTS (
  SELECT FROM sweep_chunks c JOIN jobs j ON j.id = c.job
  WHERE c.sweep = %(sweep)s AND c.done_at IS NULL AND j.state <> 'dead');

-- name: sweep_questions
-- Entries in force that were added by some steps of the change log, in the spaces that are asked.
SELECT e.id, e.person, e.space, e.sealed FROM entries e
JOIN persons p ON p.id = e.person
WHERE e.removed_at IS NULL AND p.withdrawn_at IS NULL AND e.space = ANY(%(spaces)s::text[])
  AND (%(after_seq)s < 0 OR e.id IN (
    SELECT unnest(entries) FROM changes
    WHERE op = 'add' AND seq > %(after_seq)s AND seq <= %(upto_seq)s))
ORDER BY e.id;

-- name: sweep_anything_new
-- Whether anything in force was added by some steps of the change log.
SELECT EXISTS (
  SELECT FROM entries e WHERE e.removed_at IS NULL AND e.space = ANY(%(spaces)s::text[])
    AND e.id IN (SELECT unnest(entries) FROM changes
                 WHERE op = 'add' AND seq > %(after_seq)s AND seq <= %(upto_seq)s));

-- name: screenings_of
-- Some screenings, of any platform.
SELECT id, platform, content_id, uploader, rating, form, verdict, policy, index_seq, received_at,
       milliseconds, bytes, mime, refusal, message, matches, notes, case_id, blocks
FROM screenings WHERE id = ANY(%(ids)s::uuid[]);

-- name: screening_answered
-- Whether a platform was told of a case for this content.
SELECT FROM screenings
WHERE case_id = %(case)s AND platform = %(platform)s AND content_id = %(content_id)s LIMIT 1;

-- name: case_entries_of_upload
-- Which of some entries a case of this very upload rests on, or rested.
SELECT DISTINCT h.entry FROM case_uploads u
JOIN case_hits h ON h.case_id = u.case_id AND h.screening = u.screening
WHERE u.platform = %(platform)s AND u.content_id = %(content_id)s
  AND u.fingerprint = %(fingerprint)s AND h.entry = ANY(%(entries)s::bigint[]);

-- name: upload_guarded
-- Whether these bytes belong to a case of a possible minor, which nobody may open anew.
SELECT FROM case_uploads u JOIN cases c ON c.id = u.case_id
WHERE u.fingerprint = %(fingerprint)s AND c.state IN ('frozen', 'reported') LIMIT 1;
