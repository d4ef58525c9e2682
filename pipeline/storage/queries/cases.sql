-- name: upload_lock
-- One transaction at a time decides which case an upload joins.
SELECT pg_advisory_xact_lock(hashtextextended(%(what)s, 42));

-- name: case_undecided_for
-- The undecided case of the same upload on the same platform, or of the same bytes anywhere.
SELECT c.id FROM cases c JOIN case_uploads u ON u.case_id = c.id
WHERE c.state IN ('open', 'escalated')
  AND ((u.platform = %(platform)s AND u.content_id = %(content_id)s)
       OR u.fingerprint = %(fingerprint)s)
ORDER BY c.opened_at, c.id LIMIT 1
FOR UPDATE OF c;

-- name: case_open
-- A new case.
INSERT INTO cases (id, state, opened_at, kind, deadline, priority)
VALUES (%(case)s, 'open', %(now)s, %(kind)s, %(deadline)s, %(priority)s);

-- name: case_raise
-- A further upload makes a case more urgent, or one about more than a face.
UPDATE cases SET priority = greatest(priority, %(priority)s),
  kind = CASE WHEN kind = 'face' THEN %(kind)s ELSE kind END
WHERE id = %(case)s;

-- name: case_upload_add
-- An upload joins a case.
INSERT INTO case_uploads (screening, case_id, platform, content_id, fingerprint, joined_at)
VALUES (%(screening)s, %(case)s, %(platform)s, %(content_id)s, %(fingerprint)s, %(now)s);

-- name: case_hit_add
-- What an upload of a case hit.
INSERT INTO case_hits (case_id, screening, entry, person, signal, distance, threshold, bank,
                       source, slot, view, witness, stretches, metric, granted)
VALUES (%(case)s, %(screening)s, %(entry)s, %(person)s, %(signal)s, %(distance)s, %(threshold)s,
        %(bank)s, %(source)s, %(slot)s, %(view)s, %(witness)s, %(stretches)s, %(metric)s,
        %(granted)s);

-- name: case_get
-- A case.
SELECT * FROM cases WHERE id = %(case)s;

-- name: case_get_locked
-- A case, held until the transaction ends.
SELECT * FROM cases WHERE id = %(case)s FOR UPDATE;

-- name: case_uploads_of
-- The uploads of a case, in the order in which they came.
SELECT screening, platform, content_id, fingerprint FROM case_uploads
WHERE case_id = %(case)s ORDER BY joined_at, screening;

-- name: case_hits_in_force
-- The entries in force that a case rests on.
SELECT h.screening, h.entry FROM case_hits h JOIN entries e ON e.id = h.entry
WHERE h.case_id = %(case)s AND e.removed_at IS NULL AND NOT h.withdrawn
ORDER BY h.rank, h.entry;

-- name: case_hits_of
-- All hits of a case, nearest first.
SELECT h.screening, h.entry, h.person, h.signal, h.distance, h.threshold, h.bank, h.source, h.slot,
       h.view, h.witness, h.withdrawn, h.stretches, h.metric, h.granted, g.given_at AS grant_given_at,
       g.expires_at AS grant_expires_at, g.revoked_at AS grant_revoked_at
FROM case_hits h LEFT JOIN grants g ON g.id = h.granted
WHERE h.case_id = %(case)s ORDER BY h.rank, h.entry, h.screening;

-- name: case_save
-- State, lease and verdict of a case.
UPDATE cases SET state = %(state)s, lease_reviewer = %(lease_reviewer)s,
  lease_until = %(lease_until)s, lease_token = %(lease_token)s, ground = %(ground)s,
  reason = %(reason)s, decided_by = %(decided_by)s, decided_at = %(decided_at)s
WHERE id = %(case)s;

-- name: dismissed_among
-- Which of these entries were dismissed for an upload.
SELECT entry FROM dismissals
WHERE fingerprint = %(fingerprint)s AND entry = ANY(%(entries)s::bigint[]);

-- name: dismissal_add
-- Remember a pair that must not come back.
INSERT INTO dismissals (fingerprint, entry, case_id) VALUES (%(fingerprint)s, %(entry)s, %(case)s)
ON CONFLICT DO NOTHING;

-- name: case_next
-- The case that has waited longest and that nobody holds; two askers never get the same one.
SELECT id FROM cases
WHERE (state = 'open' OR (state = 'escalated' AND %(senior)s))
  AND (lease_until IS NULL OR lease_until <= %(now)s)
ORDER BY opened_at, id LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: case_queue
-- Undecided cases, oldest first, with what a list shows.
SELECT c.id, c.state, c.opened_at, near.distance AS nearest, near.signal,
       (SELECT count(*) FROM case_uploads u WHERE u.case_id = c.id) AS uploads,
       ARRAY(SELECT DISTINCT p.name FROM case_uploads u JOIN platforms p ON p.id = u.platform
             WHERE u.case_id = c.id ORDER BY p.name) AS platforms,
       CASE WHEN c.lease_until > %(now)s THEN r.login END AS reviewer
FROM cases c
LEFT JOIN reviewers r ON r.id = c.lease_reviewer
LEFT JOIN LATERAL (
  SELECT h.distance, h.signal FROM case_hits h WHERE h.case_id = c.id
  ORDER BY h.rank, h.entry LIMIT 1) near ON true
WHERE c.state IN ('open', 'escalated')
  AND (%(after)s::uuid IS NULL
       OR (c.opened_at, c.id) > (SELECT a.opened_at, a.id FROM cases a WHERE a.id = %(after)s::uuid))
ORDER BY c.opened_at, c.id LIMIT %(limit)s;

-- name: cases_undecided_count
-- How many cases wait.
SELECT count(*) AS waiting, min(opened_at) AS oldest FROM cases WHERE state IN ('open', 'escalated');

-- name: cases_resting_on
-- Undecided cases with a hit on a person's entries.
SELECT DISTINCT c.id FROM cases c JOIN case_hits h ON h.case_id = c.id
WHERE h.person = %(person)s AND c.state IN ('open', 'escalated');

-- name: case_hits_forget
-- A person's hits become nameless and count no more.
UPDATE case_hits SET person = NULL, withdrawn = true, stretches = '[]' WHERE person = %(person)s;

-- name: dismissals_forget
-- Pairs with a person's entries are of no use any more.
DELETE FROM dismissals WHERE entry IN (SELECT id FROM entries WHERE person = %(person)s);

-- name: cases_resting_on_entries
-- Undecided cases with a hit on some entries.
SELECT DISTINCT c.id FROM cases c JOIN case_hits h ON h.case_id = c.id
WHERE h.entry = ANY(%(entries)s::bigint[]) AND c.state IN ('open', 'escalated');

-- name: case_hits_forget_entries
-- Hits on entries that were destroyed become nameless and count no more.
UPDATE case_hits SET person = NULL, withdrawn = true WHERE entry = ANY(%(entries)s::bigint[]);

-- name: dismissals_forget_entries
-- Pairs with entries that were destroyed are of no use any more.
DELETE FROM dismissals WHERE entry = ANY(%(entries)s::bigint[]);
