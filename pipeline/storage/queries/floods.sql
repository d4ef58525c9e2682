-- name: flood_lock
-- One upload at a time is counted for an item.
SELECT pg_advisory_xact_lock(hashtextextended(%(item)s::text, 44));

-- name: flood_understood
-- since: floods
-- Whether all who are connected as this deployment know what a parked case is (migration 26): those of
-- the version before don't say what they know, and could not read one.
SELECT NOT EXISTS (
  SELECT FROM pg_stat_activity a WHERE a.datname = current_database() AND a.usename = session_user
    AND coalesce(substring(a.application_name FROM '^consentry ([0-9]+)$')::integer, 0) < 26);

-- name: flood_understood
-- until: floods
-- Nobody can park yet.
SELECT false;

-- name: flood_seen
-- since: floods
-- Uploads that fell loosely on an item since, one of each content, the newest first. What a person
-- upheld was no stranger; what stood before a lead's word is not counted again.
SELECT DISTINCT ON (u.fingerprint) u.fingerprint, s.platform || '|' || coalesce(s.uploader, s.content_id)
         AS account,
       m.id AS medium, m.codes,
       ARRAY(SELECT DISTINCT l.signal || '/' || l.slot FROM case_hits l JOIN entries o ON o.id = l.entry
             WHERE l.screening = u.screening AND l.loose AND o.item = %(item)s) AS hit
FROM entries e JOIN case_hits h ON h.entry = e.id JOIN case_uploads u ON u.screening = h.screening
JOIN screenings s ON s.id = u.screening JOIN cases c ON c.id = h.case_id
LEFT JOIN media m ON m.screening = u.screening AND m.destroyed_at IS NULL
WHERE e.item = %(item)s AND h.loose AND NOT h.withdrawn AND c.state <> 'upheld'
  AND u.joined_at > greatest(%(since)s, (SELECT f.decided_at FROM floods f WHERE f.item = e.item))
ORDER BY u.fingerprint, u.joined_at DESC LIMIT %(limit)s;

-- name: flood_seen
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_put
-- since: floods
-- Codes of an item wait for a lead's word.
INSERT INTO floods (item, person, parked, uploads, accounts, since)
SELECT %(item)s, p.id, %(codes)s, %(uploads)s, %(accounts)s, %(now)s FROM persons p
WHERE p.id = %(person)s AND p.withdrawn_at IS NULL FOR KEY SHARE
ON CONFLICT (item) DO UPDATE SET
  since = CASE WHEN floods.parked = '{}' THEN excluded.since ELSE floods.since END,
  parked = ARRAY(SELECT DISTINCT unnest(floods.parked || excluded.parked) ORDER BY 1),
  uploads = excluded.uploads, accounts = excluded.accounts;

-- name: flood_get
-- since: floods
-- An item's flood, locked.
SELECT item, person, parked, kept_out, uploads, accounts, since, decided_at FROM floods
WHERE item = %(item)s FOR UPDATE;

-- name: flood_get
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_decide
-- since: floods
-- A lead's word: the codes in question are kept out, or count as before.
UPDATE floods SET parked = '{}', decided_at = %(now)s, decided_by = %(by)s,
  kept_out = CASE WHEN %(keep_out)s
    THEN ARRAY(SELECT DISTINCT unnest(kept_out || parked) ORDER BY 1) ELSE kept_out END
WHERE item = %(item)s;

-- name: flood_allow
-- since: floods
-- What was kept out of an item counts again.
UPDATE floods SET kept_out = '{}', decided_at = %(now)s, decided_by = %(by)s
WHERE item = %(item)s AND kept_out <> '{}';

-- name: flood_allow
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_park
-- since: floods
-- Undecided cases that rest on nothing but parked codes leave the reviewers' queues. A notice's case
-- never does, nor one that somebody holds or has just decided, or that somebody escalated.
WITH resting AS (
  SELECT c.id FROM cases c
  WHERE c.state = 'open' AND c.kind IN ('hash', 'face') AND c.purpose = 'decide'
    AND c.pending_until IS NULL AND (c.lease_until IS NULL OR c.lease_until <= %(now)s)
    AND EXISTS (SELECT FROM case_hits h JOIN entries e ON e.id = h.entry
                WHERE h.case_id = c.id AND e.item = %(item)s AND h.loose AND NOT h.withdrawn)
    AND NOT EXISTS (
      SELECT FROM case_hits h LEFT JOIN entries e ON e.id = h.entry LEFT JOIN floods f ON f.item = e.item
      WHERE h.case_id = c.id AND NOT h.withdrawn
        AND NOT (h.loose AND coalesce(h.signal || '/' || h.slot = ANY(f.parked), false)))
  FOR UPDATE OF c SKIP LOCKED
)
UPDATE cases SET state = 'parked', lease_reviewer = NULL, lease_until = NULL, lease_token = NULL
WHERE id IN (SELECT id FROM resting) RETURNING id;

-- name: flood_park
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_unpark
-- since: floods
-- Cases that rest on an item and on something that is not parked (any more) wait for reviewers again.
UPDATE cases c SET state = 'open'
WHERE c.state = 'parked'
  AND EXISTS (SELECT FROM case_hits h JOIN entries e ON e.id = h.entry
              WHERE h.case_id = c.id AND e.item = %(item)s)
  AND EXISTS (
    SELECT FROM case_hits h LEFT JOIN entries e ON e.id = h.entry LEFT JOIN floods f ON f.item = e.item
    WHERE h.case_id = c.id AND NOT h.withdrawn
      AND NOT (h.loose AND coalesce(h.signal || '/' || h.slot = ANY(f.parked), false)))
RETURNING c.id;

-- name: flood_unpark
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_case_open
-- A case that something else speaks for now.
UPDATE cases SET state = 'open' WHERE id = %(case)s AND state = 'parked';

-- name: flood_hits_end
-- since: floods
-- Loose hits on an item's kept-out codes count no more, in cases that nobody has decided.
UPDATE case_hits h SET withdrawn = true
FROM entries e, floods f, cases c
WHERE e.id = h.entry AND f.item = e.item AND e.item = %(item)s AND c.id = h.case_id
  AND h.loose AND NOT h.withdrawn AND c.state IN ('open', 'parked')
  AND h.signal || '/' || h.slot = ANY(f.kept_out);

-- name: flood_hits_end
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_cases
-- Parked cases that rest on an item.
SELECT c.id FROM cases c
WHERE c.state = 'parked' AND EXISTS (SELECT FROM case_hits h JOIN entries e ON e.id = h.entry
                                     WHERE h.case_id = c.id AND e.item = %(item)s)
ORDER BY c.id;

-- name: floods_all
-- since: floods
-- Items with codes that wait for a lead or were kept out, those that wait first.
SELECT f.item, f.parked, f.kept_out, f.uploads, f.accounts, f.since, f.decided_at, b.bank,
       (SELECT count(*) FROM cases c WHERE c.state = 'parked' AND EXISTS (
          SELECT FROM case_hits h JOIN entries e ON e.id = h.entry
          WHERE h.case_id = c.id AND e.item = f.item)) AS cases
FROM floods f
CROSS JOIN LATERAL (SELECT min(e.bank) AS bank FROM entries e
                    WHERE e.item = f.item AND e.removed_at IS NULL) AS b
WHERE (f.parked <> '{}' OR f.kept_out <> '{}') AND b.bank IS NOT NULL
ORDER BY f.parked = '{}', f.since DESC LIMIT 200;

-- name: floods_all
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_distances
-- since: floods
-- How far off an item's loose hits lie, by signal, in steps of four bits or of a twentieth.
SELECT h.signal, h.metric,
       CASE h.metric WHEN 'inner_product' THEN floor(h.distance * 20) ELSE floor(h.distance / 4) END::integer
         AS step,
       count(DISTINCT u.fingerprint)::integer AS uploads
FROM case_hits h JOIN entries e ON e.id = h.entry JOIN case_uploads u ON u.screening = h.screening
WHERE e.item = %(item)s AND h.loose GROUP BY 1, 2, 3 ORDER BY 1, 3;

-- name: flood_distances
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: flood_codes
-- since: floods
-- On which of an item's codes its loose hits fell.
SELECT h.signal, h.slot, count(DISTINCT u.fingerprint)::integer AS uploads
FROM case_hits h JOIN entries e ON e.id = h.entry JOIN case_uploads u ON u.screening = h.screening
WHERE e.item = %(item)s AND h.loose GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT 12;

-- name: flood_codes
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: floods_of
-- since: floods
-- A person's items with codes in question or kept out.
SELECT item, parked <> '{}' AS waits, kept_out <> '{}' AS kept, since, decided_at FROM floods
WHERE person = %(person)s AND (parked <> '{}' OR kept_out <> '{}');

-- name: floods_of
-- until: floods
-- There is none yet.
SELECT WHERE false;

-- name: floods_waiting
-- since: floods
-- How many items wait for a lead, and how many cases with them.
SELECT (SELECT count(*) FROM floods WHERE parked <> '{}') AS items,
       (SELECT count(*) FROM cases WHERE state = 'parked') AS cases;

-- name: floods_waiting
-- until: floods
-- There is none yet.
SELECT 0 AS items, 0 AS cases;

-- name: floods_sweep
-- since: floods
-- What is said of items that are gone.
DELETE FROM floods f
WHERE f.person = %(person)s AND NOT EXISTS (SELECT FROM entries e WHERE e.item = f.item);

-- name: floods_sweep
-- until: floods
-- There is none yet.
SELECT WHERE false;
