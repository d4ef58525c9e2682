-- name: probe_lock
-- One upload at a time is counted for an account and an item.
SELECT pg_advisory_xact_lock(hashtextextended(%(what)s, 43));

-- name: probe_add
-- An upload was near to an item of a person who is still here; the same upload counts once.
INSERT INTO probes (subject, print, person, hit, at)
SELECT %(subject)s, %(print)s, p.id, %(hit)s, %(at)s
FROM persons p WHERE p.id = %(person)s AND p.withdrawn_at IS NULL FOR KEY SHARE
ON CONFLICT (subject, print) DO UPDATE SET hit = probes.hit OR excluded.hit, at = excluded.at;

-- name: probe_count
-- How many uploads were near to the item since, and whether one of them was a hit.
SELECT count(*)::integer AS uploads, coalesce(bool_or(hit), false) AS hit,
       EXISTS (SELECT FROM probe_alarms a WHERE a.subject = %(subject)s AND a.at > %(since)s)
         AS raised
FROM probes WHERE subject = %(subject)s AND at > %(since)s;

-- name: probe_alarm
-- Too many.
INSERT INTO probe_alarms (subject, platform, uploads, at)
VALUES (%(subject)s, %(platform)s, %(uploads)s, %(at)s);

-- name: probes_forget
-- What has left the window counts no more.
DELETE FROM probes WHERE at <= %(before)s;

-- name: probe_alarms_forget
-- Old alarms; the audit trail still says that there were some.
DELETE FROM probe_alarms WHERE at <= %(before)s;

-- name: probe_alarms_by_platform
-- How often an account was noticed, by platform.
SELECT p.name AS platform, count(*)::integer AS alarms, max(a.at) AS last_at
FROM probe_alarms a JOIN platforms p ON p.id = a.platform
WHERE a.at > %(since)s GROUP BY p.name ORDER BY alarms DESC, p.name;
