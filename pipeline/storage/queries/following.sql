-- name: following_items
-- What a person has registered and not taken back. An addition is looked for in the newest part of
-- the change log alone: whoever answers has long applied what is older.
SELECT e.item, min(e.created_at) AS added_at,
       CASE WHEN bool_or(e.bank = 'faces') THEN 'face'
            WHEN bool_or(e.layout IN ('frames', 'moment')) THEN 'clip' ELSE 'picture' END AS kind,
       coalesce((
         SELECT max(c.seq) FROM changes c, change_head h
         WHERE c.seq > h.seq - 5000 AND c.op = 'add' AND c.entries && array_agg(e.id)
       ), 0) <= coalesce((SELECT min(coalesce(f.applied, -1)) FROM followers f), -1) AS active
FROM entries e
WHERE e.person = %(person)s AND e.source = 'registered' AND e.removed_at IS NULL
GROUP BY e.item ORDER BY min(e.id);

-- name: following_findings
-- Cases that rest on a person's items: on their own entries, or on those of copies upheld for them.
WITH RECURSIVE mine AS (
  SELECT e.id AS entry, e.item FROM entries e
  WHERE e.person = %(person)s AND e.source = 'registered' AND e.removed_at IS NULL
  UNION
  SELECT u.id, m.item FROM mine m
  JOIN case_hits h ON h.entry = m.entry
  JOIN entries u ON u.upheld_case = h.case_id AND u.person = %(person)s AND u.removed_at IS NULL
)
SELECT DISTINCT m.item, c.id AS "case", c.state, c.opened_at, c.decided_at, c.ground
FROM mine m
JOIN case_hits h ON h.entry = m.entry AND NOT h.withdrawn
JOIN cases c ON c.id = h.case_id
ORDER BY c.opened_at, c.id;

-- name: following_takedowns
-- Whom upheld cases made ask for removal.
SELECT t.case_id AS "case", p.name AS platform, t.made_at AS asked_at,
       e.delivered_at AS confirmed_at
FROM takedowns t JOIN platforms p ON p.id = t.platform JOIN events e ON e.id = t.event
WHERE t.case_id = ANY(%(cases)s::uuid[]) ORDER BY t.made_at, p.name;

-- name: following_appeals
-- Which decisions somebody wants to be made again, and what came of that.
SELECT a.about AS "case", a.side, a.made_at, c.state, c.decided_at
FROM appeals a JOIN cases c ON c.id = a.case_id
WHERE a.about = ANY(%(cases)s::uuid[]) ORDER BY a.made_at, a.case_id;

-- name: following_repeats
-- What was known at once because of upheld cases.
SELECT s.case_id AS "case", p.name AS platform, count(*)::integer AS count,
       max(s.received_at) AS last_at
FROM screenings s JOIN platforms p ON p.id = s.platform
WHERE s.case_id = ANY(%(cases)s::uuid[]) AND s.verdict = 'known'
GROUP BY s.case_id, p.name ORDER BY last_at, p.name;

-- name: following_because_of
-- Some items' entries, and entries of copies that were upheld for these items and for no other.
WITH RECURSIVE mine AS (
  SELECT e.id AS entry, e.item FROM entries e
  WHERE e.person = %(person)s AND e.source = 'registered' AND e.removed_at IS NULL
  UNION
  SELECT u.id, m.item FROM mine m
  JOIN case_hits h ON h.entry = m.entry
  JOIN entries u ON u.upheld_case = h.case_id AND u.person = %(person)s AND u.removed_at IS NULL
)
SELECT entry FROM mine GROUP BY entry
HAVING bool_and(item = ANY(%(items)s::uuid[])) ORDER BY entry;

-- name: following_undecided_on
-- Undecided cases with a hit on some entries, appeals among them.
SELECT DISTINCT c.id FROM cases c JOIN case_hits h ON h.case_id = coalesce(c.about, c.id)
WHERE h.entry = ANY(%(entries)s::bigint[]) AND c.state NOT IN ('upheld', 'dismissed', 'withdrawn');

-- name: following_entries_delete
-- Delete entries of a person.
DELETE FROM entries WHERE person = %(person)s AND id = ANY(%(entries)s::bigint[]);

-- name: following_hits_forget
-- What cases say of entries that are gone becomes nameless and counts no more.
UPDATE case_hits SET person = NULL, withdrawn = true
WHERE person = %(person)s AND entry = ANY(%(entries)s::bigint[]);

-- name: following_dismissals_forget
-- Pairs with entries that are gone are of no use any more.
DELETE FROM dismissals WHERE entry = ANY(%(entries)s::bigint[]);

-- name: following_acted
-- What platforms did with the uploads of upheld cases, and with repeats of them.
SELECT s.case_id AS "case", p.name AS platform, a.action AS kind, a.at
FROM screening_actions a JOIN screenings s ON s.id = a.screening
JOIN platforms p ON p.id = s.platform
WHERE s.case_id = ANY(%(cases)s::uuid[]) ORDER BY a.at, a.told_at, p.name;
