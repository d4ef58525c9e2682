-- name: film_add
-- A video waits to be looked at.
INSERT INTO pending_films (id, platform, content_id, uploader, rating, medium, size, mime, job,
                           received_at, digests)
VALUES (%(id)s, %(platform)s, %(content_id)s, %(uploader)s, %(rating)s, %(medium)s, %(size)s,
        %(mime)s, %(job)s, %(received_at)s, %(digests)s);

-- name: film_get
-- since: film_early
-- A video that has no answer yet.
SELECT id, platform, content_id, uploader, rating, medium, size, mime, job, received_at, done, frames,
       expected, digests, kept, certain
FROM pending_films WHERE id = %(id)s;

-- name: film_get
-- until: film_early
-- The same before there was more to it.
SELECT id, platform, content_id, uploader, rating, medium, size, mime, job, received_at, done, frames,
       expected, digests, kept, NULL::bytea AS certain
FROM pending_films WHERE id = %(id)s;

-- name: film_progress
-- How far the work has come.
UPDATE pending_films SET done = %(done)s, frames = %(frames)s, expected = %(expected)s
WHERE id = %(id)s;

-- name: film_keep
-- Where its work stands, sealed.
UPDATE pending_films SET kept = %(kept)s WHERE id = %(id)s;

-- name: films_forget_places
-- since: film_early
-- Nobody goes on from a place that was kept, nor reads what was certain. All rows are locked until
-- the transaction ends, those without a place too: whoever keeps one next sees what this
-- transaction took away.
UPDATE pending_films SET kept = NULL, certain = NULL;

-- name: films_forget_places
-- until: film_early
-- The same before there was more to it.
UPDATE pending_films SET kept = NULL;

-- name: film_early
-- since: film_early
-- What is certain before the end, sealed; it is kept once, and nothing is kept in its place.
UPDATE pending_films SET certain = %(certain)s
WHERE id = %(id)s AND (certain IS NULL) <> (%(certain)s::bytea IS NULL);

-- name: film_early
-- until: film_early
-- There is none yet.
SELECT WHERE false;

-- name: film_end
-- The video has its answer.
DELETE FROM pending_films WHERE id = %(id)s;

-- name: films_given_up
-- since: film_early
-- Videos whose work was given up without an answer: their job is dead, or gone.
SELECT f.id, f.platform, f.content_id, f.uploader, f.rating, f.medium, f.size, f.mime, f.job,
       f.received_at, f.done, f.frames, f.expected, f.digests, f.kept, f.certain
FROM pending_films f LEFT JOIN jobs j ON j.id = f.job
WHERE j.state IN ('dead', 'done') OR j.id IS NULL
ORDER BY f.received_at LIMIT %(limit)s FOR UPDATE OF f SKIP LOCKED;

-- name: films_given_up
-- until: film_early
-- The same before there was more to it.
SELECT f.id, f.platform, f.content_id, f.uploader, f.rating, f.medium, f.size, f.mime, f.job,
       f.received_at, f.done, f.frames, f.expected, f.digests, f.kept, NULL::bytea AS certain
FROM pending_films f LEFT JOIN jobs j ON j.id = f.job
WHERE j.state IN ('dead', 'done') OR j.id IS NULL
ORDER BY f.received_at LIMIT %(limit)s FOR UPDATE OF f SKIP LOCKED;
