-- name: exchange_add
-- A new list; no row when the name is taken.
INSERT INTO exchanges (name, kind, holder, settings)
VALUES (%(name)s, %(kind)s, %(holder)s, %(settings)s)
ON CONFLICT (name) DO NOTHING RETURNING id;

-- name: exchanges_all
-- All lists with what is held of them.
SELECT x.id, x.name, x.kind, x.holder, x.settings, x.cursor, x.whole, x.generation,
       x.began_at, x.finished_at, x.problem, p.withdrawn_at IS NOT NULL AS leaving,
       (SELECT count(*) FROM exchange_records r WHERE r.exchange = x.id) AS records,
       (SELECT count(*) FROM exchange_troubles t WHERE t.exchange = x.id) AS troubles
FROM exchanges x JOIN persons p ON p.id = x.holder ORDER BY x.name;

-- name: exchange_settings
-- Other credentials.
UPDATE exchanges SET settings = %(settings)s WHERE id = %(exchange)s;

-- name: exchange_hold
-- Let one process read a list at a time; no row while another does.
UPDATE exchanges SET held_until = now() + %(lease)s
WHERE id = %(exchange)s AND (held_until IS NULL OR held_until < now()) RETURNING id;

-- name: exchange_keep
-- Where reading goes on, and that it still goes on.
UPDATE exchanges SET cursor = %(cursor)s, whole = %(whole)s, generation = %(generation)s,
       began_at = %(began)s, finished_at = coalesce(%(finished)s, finished_at), problem = %(problem)s,
       held_until = CASE WHEN %(lease)s::interval IS NULL THEN NULL ELSE now() + %(lease)s END
WHERE id = %(exchange)s;

-- name: exchange_records_find
-- What is held of some records.
SELECT digest, print, item, generation FROM exchange_records
WHERE exchange = %(exchange)s AND digest = ANY(%(digests)s::bytea[]);

-- name: exchange_record_put
-- A record, in place of what was held of it.
INSERT INTO exchange_records (exchange, digest, print, item, sealed, generation)
VALUES (%(exchange)s, %(digest)s, %(print)s, %(item)s, %(sealed)s, %(generation)s)
ON CONFLICT (exchange, digest) DO UPDATE SET print = excluded.print, item = excluded.item,
  sealed = excluded.sealed, generation = excluded.generation;

-- name: exchange_records_seen
-- Records that are still on the list.
UPDATE exchange_records SET generation = %(generation)s
WHERE exchange = %(exchange)s AND digest = ANY(%(digests)s::bytea[]);

-- name: exchange_records_drop
-- Records that are withdrawn; their items.
DELETE FROM exchange_records WHERE exchange = %(exchange)s AND digest = ANY(%(digests)s::bytea[])
RETURNING item;

-- name: exchange_records_missing
-- Records that the newest whole reading did not name.
SELECT digest FROM exchange_records
WHERE exchange = %(exchange)s AND generation < %(generation)s LIMIT %(limit)s;

-- name: exchange_troubles_forget
-- A new reading begins.
DELETE FROM exchange_troubles WHERE exchange = %(exchange)s;

-- name: exchange_trouble_add
-- A record that cannot be used; only the first thousand are named.
INSERT INTO exchange_troubles (exchange, number, place, why)
SELECT %(exchange)s, count(*), %(place)s, %(why)s FROM exchange_troubles
WHERE exchange = %(exchange)s HAVING count(*) < 1000;

-- name: exchange_troubles
-- What could not be used of a list.
SELECT place, why FROM exchange_troubles WHERE exchange = %(exchange)s ORDER BY number;

-- name: exchange_untold
-- Decided cases that rest on a partner's records and that it has not been told of. A decision that
-- an appeal has overturned is its opposite.
SELECT DISTINCT r.digest, r.sealed, d.id AS "case", d.state
FROM exchange_records r
JOIN entries e ON e.item = r.item AND e.source = 'registered'
JOIN case_hits h ON h.entry = e.id
JOIN (SELECT c.id, CASE WHEN c.overturned_by IS NULL THEN c.state
                        WHEN c.state = 'upheld' THEN 'dismissed' ELSE 'upheld' END AS state
      FROM cases c WHERE c.state IN ('upheld', 'dismissed')) d ON d.id = h.case_id
WHERE r.exchange = %(exchange)s
  AND NOT EXISTS (SELECT FROM exchange_reports t
                  WHERE t.exchange = r.exchange AND t.digest = r.digest AND t.case_id = d.id
                    AND t.feedback = d.state)
LIMIT %(limit)s;

-- name: exchange_telling
-- The partner is about to be told.
INSERT INTO exchange_reports (exchange, digest, case_id, feedback, told_at, state)
VALUES (%(exchange)s, %(digest)s, %(case)s, %(feedback)s, %(at)s, 'telling')
ON CONFLICT (exchange, digest, case_id) DO UPDATE
SET feedback = excluded.feedback, told_at = excluded.told_at, state = 'telling';

-- name: exchange_told
-- How the telling that is under way ended.
UPDATE exchange_reports SET state = %(state)s WHERE exchange = %(exchange)s AND state = 'telling';

-- name: exchange_not_told
-- The partner has taken nothing of what it was being told.
DELETE FROM exchange_reports WHERE exchange = %(exchange)s AND state = 'telling';

-- name: exchange_lease
-- Whoever reads a list goes on doing so.
UPDATE exchanges SET held_until = now() + %(lease)s WHERE id = %(exchange)s;

-- name: exchange_entries_of
-- The entries of some items of a list.
SELECT id FROM entries WHERE person = %(holder)s AND item = ANY(%(items)s::uuid[]);

-- name: exchange_because_of
-- Entries of copies that were upheld because of these entries of the same holder and no others.
SELECT u.id FROM entries u
WHERE u.person = %(holder)s AND u.source = 'upheld' AND u.removed_at IS NULL
  AND NOT u.id = ANY(%(entries)s::bigint[])
  AND EXISTS (SELECT FROM case_hits h
              WHERE h.case_id = u.upheld_case AND h.entry = ANY(%(entries)s::bigint[]))
  AND NOT EXISTS (SELECT FROM case_hits h JOIN entries e ON e.id = h.entry
                  WHERE h.case_id = u.upheld_case AND e.person = u.person
                    AND NOT h.entry = ANY(%(entries)s::bigint[]));
