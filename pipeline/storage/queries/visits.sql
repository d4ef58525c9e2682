-- name: visit_begin
-- Somebody signs in to her own case.
INSERT INTO visits (digest, person, csrf, began_at, seen_at, expires_at)
VALUES (%(digest)s, %(person)s, %(csrf)s, %(now)s, %(now)s, %(expires)s);

-- name: visit_get
-- A visit that has not ended, used now; twenty minutes without use end it.
UPDATE visits SET seen_at = %(now)s
WHERE digest = %(digest)s AND expires_at > %(now)s
  AND seen_at > %(now)s::timestamptz - interval '20 minutes'
RETURNING person, csrf;

-- name: visit_end
-- She signs out.
DELETE FROM visits WHERE digest = %(digest)s;

-- name: visits_end
-- All of a person's visits end.
DELETE FROM visits WHERE person = %(person)s;

-- name: visits_purge
-- Remove visits that ended by themselves.
DELETE FROM visits WHERE expires_at <= %(now)s
  OR seen_at <= %(now)s::timestamptz - interval '20 minutes';
