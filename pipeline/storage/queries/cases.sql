-- name: upload_lock
-- One transaction at a time decides which case an upload joins.
SELECT pg_advisory_xact_lock(hashtextextended(%(what)s, 42));

-- name: case_undecided_for
-- The undecided case of the same upload on the same platform, or of the same bytes anywhere.
SELECT c.id FROM cases c JOIN case_uploads u ON u.case_id = c.id
WHERE c.state IN ('open', 'escalated', 'frozen', 'parked') AND c.purpose = 'decide'
  AND ((u.platform = %(platform)s AND u.content_id = %(content_id)s)
       OR u.fingerprint = %(fingerprint)s)
ORDER BY c.opened_at, c.id LIMIT 1
FOR UPDATE OF c;

-- name: case_open
-- A new case.
INSERT INTO cases (id, state, opened_at, kind, deadline, priority, about, purpose, wanted_queue)
VALUES (%(case)s, %(state)s, %(now)s, %(kind)s, %(deadline)s, %(priority)s, %(about)s, %(purpose)s,
        %(queue)s);

-- name: case_place
-- Write down where a case stands among the others.
SELECT case_place(%(case)s);

-- name: cases_place_some
-- Write down anew where some undecided cases stand, in order of id, after the rules were changed.
SELECT id, case_place(id)
FROM (SELECT id FROM cases
      WHERE state IN ('open', 'escalated', 'frozen', 'parked')
        AND (%(after)s::uuid IS NULL OR id > %(after)s::uuid)
      ORDER BY id LIMIT %(limit)s) AS batch
ORDER BY id;

-- name: case_raise
-- A further upload makes a case more urgent, or one about more than a face.
UPDATE cases SET priority = greatest(priority, %(priority)s),
  deadline = least(deadline, %(deadline)s::timestamptz),
  kind = CASE WHEN kind = 'face' THEN %(kind)s ELSE kind END
WHERE id = %(case)s;

-- name: case_upload_add
-- An upload joins a case.
INSERT INTO case_uploads (screening, case_id, platform, content_id, fingerprint, joined_at)
VALUES (%(screening)s, %(case)s, %(platform)s, %(content_id)s, %(fingerprint)s, %(now)s);

-- name: case_hit_add
-- since: floods
-- What an upload of a case hit.
INSERT INTO case_hits (case_id, screening, entry, person, signal, distance, threshold, bank,
                       source, slot, view, witness, stretches, metric, granted, loose)
VALUES (%(case)s, %(screening)s, %(entry)s, %(person)s, %(signal)s, %(distance)s, %(threshold)s,
        %(bank)s, %(source)s, %(slot)s, %(view)s, %(witness)s, %(stretches)s, %(metric)s,
        %(granted)s, %(loose)s);

-- name: case_hit_add
-- until: floods
-- The same before there was more to it.
INSERT INTO case_hits (case_id, screening, entry, person, signal, distance, threshold, bank,
                       source, slot, view, witness, stretches, metric, granted)
VALUES (%(case)s, %(screening)s, %(entry)s, %(person)s, %(signal)s, %(distance)s, %(threshold)s,
        %(bank)s, %(source)s, %(slot)s, %(view)s, %(witness)s, %(stretches)s, %(metric)s,
        %(granted)s);

-- name: case_get
-- A case.
SELECT id, opened_at, state, kind, deadline, priority, about, purpose, nearness, overturned_by,
       lease_reviewer, lease_until, lease_token, ground, reason, decided_by, decided_at,
       pending_state, pending_ground, pending_reason, pending_by, pending_at, pending_until
FROM cases WHERE id = %(case)s;

-- name: case_get_locked
-- A case, held until the transaction ends.
SELECT id, opened_at, state, kind, deadline, priority, about, purpose, nearness, overturned_by,
       lease_reviewer, lease_until, lease_token, ground, reason, decided_by, decided_at,
       pending_state, pending_ground, pending_reason, pending_by, pending_at, pending_until
FROM cases WHERE id = %(case)s FOR UPDATE;

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
-- State, lease, verdict and pending decision of a case.
UPDATE cases SET state = %(state)s, lease_reviewer = %(lease_reviewer)s,
  lease_until = %(lease_until)s, lease_token = %(lease_token)s, ground = %(ground)s,
  reason = %(reason)s, decided_by = %(decided_by)s, decided_at = %(decided_at)s,
  pending_state = %(pending_state)s, pending_ground = %(pending_ground)s,
  pending_reason = %(pending_reason)s, pending_by = %(pending_by)s,
  pending_at = %(pending_at)s, pending_until = %(pending_until)s
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
-- The first case by rank that nobody holds, of the desks and queues that somebody works at; two
-- askers never get the same one. The first few of all desks are candidates, so that the first one's
-- being taken at this moment leaves others.
WITH candidates AS (
  SELECT found.id
  FROM unnest(%(states)s::text[], %(kinds)s::text[]) AS desk(state, kind)
  CROSS JOIN unnest(%(queues)s::text[]) AS queues(name)
  CROSS JOIN LATERAL (
    SELECT c.id, c.rank FROM cases c
    WHERE c.state = desk.state AND c.kind = desk.kind AND c.queue = queues.name
      AND c.state IN ('open', 'escalated', 'frozen') AND c.pending_until IS NULL
      AND c.purpose <> 'specimen'
      AND (c.lease_until IS NULL OR c.lease_until <= %(now)s)
      AND NOT EXISTS (SELECT FROM case_exclusions x
                      WHERE x.reviewer = %(reviewer)s AND x.case_id = c.id)
      AND NOT EXISTS (SELECT FROM platform_exclusions x
                      JOIN case_uploads u ON u.platform = x.platform
                      WHERE x.reviewer = %(reviewer)s AND u.case_id = coalesce(c.about, c.id))
    ORDER BY c.rank, c.id LIMIT 16
  ) AS found
  ORDER BY found.rank, found.id LIMIT 48
)
SELECT c.id FROM cases c
WHERE c.id IN (SELECT id FROM candidates)
  AND c.state IN ('open', 'escalated', 'frozen') AND c.pending_until IS NULL
  AND (c.lease_until IS NULL OR c.lease_until <= %(now)s)
ORDER BY c.rank, c.id LIMIT 1
FOR UPDATE SKIP LOCKED;

-- name: case_queue
-- Undecided cases by rank, with what a list shows. A filter that is not given lets all through.
SELECT c.id, c.kind, c.purpose, c.state, c.queue, c.opened_at, c.deadline, c.priority, c.severity,
       c.spread, c.nearness, c.language, c.pending_until IS NOT NULL AS pending,
       ARRAY(SELECT DISTINCT p.name FROM case_uploads u JOIN platforms p ON p.id = u.platform
             WHERE u.case_id = coalesce(c.about, c.id) ORDER BY p.name) AS platforms,
       CASE WHEN c.lease_until > %(now)s  -- no join: it would have the planner sort everything
            THEN (SELECT r.pseudonym FROM reviewers r WHERE r.id = c.lease_reviewer) END AS reviewer
FROM cases c
WHERE c.state IN ('open', 'escalated', 'frozen', 'parked') AND c.state = ANY(%(states)s::text[])
  AND c.purpose <> 'specimen'
  AND (%(kind)s::text IS NULL OR c.kind = %(kind)s)
  AND (%(queue)s::text IS NULL OR c.queue = %(queue)s)
  AND (%(platform)s::text IS NULL OR EXISTS (
       SELECT FROM case_uploads u JOIN platforms p ON p.id = u.platform
       WHERE u.case_id = coalesce(c.about, c.id) AND p.name = %(platform)s))
  AND (%(before)s::timestamptz IS NULL OR c.deadline <= %(before)s)
  AND (%(after)s::uuid IS NULL
       OR (c.rank, c.id) > (SELECT a.rank, a.id FROM cases a WHERE a.id = %(after)s::uuid))
ORDER BY c.rank, c.id LIMIT %(limit)s;

-- name: case_standing
-- What a case's place rests on.
SELECT deadline, priority, severity, spread, nearness, opened_at, queue, language FROM cases
WHERE id = %(case)s;

-- name: cases_waiting_for
-- How many cases wait at these desks and in these queues, counted no further than somebody reads.
SELECT count(*) AS waiting FROM (
  SELECT FROM unnest(%(states)s::text[], %(kinds)s::text[]) AS desk(state, kind)
  CROSS JOIN unnest(%(queues)s::text[]) AS queues(name)
  CROSS JOIN LATERAL (
    SELECT FROM cases c
    WHERE c.state = desk.state AND c.kind = desk.kind AND c.queue = queues.name
      AND c.state IN ('open', 'escalated', 'frozen') AND c.pending_until IS NULL
      AND c.purpose <> 'specimen'
    ORDER BY c.rank, c.id  -- the order of an index, so that it is walked no further than asked
    LIMIT %(most)s
  ) AS found
  LIMIT %(most)s
) AS counted;

-- name: cases_held_by
-- The undecided cases whose lease somebody holds, the longest left first.
SELECT id FROM cases
WHERE lease_reviewer = %(reviewer)s AND lease_until > %(now)s
  AND state IN ('open', 'escalated', 'frozen')
ORDER BY lease_until DESC;

-- name: cases_pending_of
-- Decisions of somebody that can still be undone, the last first.
SELECT id FROM cases
WHERE pending_until > %(now)s AND pending_by = %(reviewer)s ORDER BY pending_until DESC;

-- name: cases_pending_due
-- Cases whose decision can be undone no more and must take effect.
SELECT id FROM cases WHERE pending_until <= %(now)s ORDER BY pending_until LIMIT %(limit)s;

-- name: cases_about
-- Other cases of the same content: of an upload with the same bytes, or about the same case.
WITH same AS (
  SELECT id FROM cases WHERE about = %(subject)s
  UNION SELECT %(subject)s::uuid
  UNION SELECT u.case_id FROM case_uploads mine JOIN case_uploads u USING (fingerprint)
        WHERE mine.case_id = %(subject)s
)
SELECT c.id, c.kind, c.purpose, c.state, c.opened_at, c.decided_at, c.ground, c.overturned_by
FROM cases c JOIN same ON same.id = c.id
WHERE c.id <> %(case)s AND c.purpose = 'decide' AND c.state NOT IN ('frozen', 'reported')
ORDER BY c.opened_at DESC LIMIT 20;

-- name: case_repeats
-- How many later uploads were answered with a case without anybody being asked.
SELECT count(*) FROM screenings WHERE case_id = %(case)s AND verdict = 'known';

-- name: case_overturn
-- An appeal turned the decision on a case round.
UPDATE cases SET overturned_by = %(appeal)s WHERE id = %(case)s AND overturned_by IS NULL;

-- name: case_exclude
-- Somebody shall not get a case.
INSERT INTO case_exclusions (case_id, reviewer) VALUES (%(case)s, %(reviewer)s)
ON CONFLICT DO NOTHING;

-- name: case_excluded
-- Whether somebody shall not get a case, by itself or by its platform.
SELECT EXISTS (SELECT FROM case_exclusions
               WHERE case_id = %(case)s AND reviewer = %(reviewer)s)
    OR EXISTS (SELECT FROM platform_exclusions x
               JOIN case_uploads u ON u.platform = x.platform
               JOIN cases c ON u.case_id = coalesce(c.about, c.id)
               WHERE c.id = %(case)s AND x.reviewer = %(reviewer)s);

-- name: cases_undecided_count
-- How many cases wait.
SELECT count(*) AS waiting, min(opened_at) AS oldest FROM cases
WHERE state IN ('open', 'escalated') AND purpose = 'decide';

-- name: cases_deadlines
-- How many undecided cases are past the law's deadline, and how many will be before a moment.
SELECT count(*) FILTER (WHERE deadline <= %(now)s) AS overdue,
       count(*) FILTER (WHERE deadline > %(now)s AND deadline <= %(before)s) AS near
FROM cases WHERE state IN ('open', 'escalated', 'frozen', 'parked') AND deadline IS NOT NULL;

-- name: cases_resting_on
-- since: enrolment_cases
-- Undecided cases that rest on a person's entries, or ask whose face it is that she enrolled. What
-- the law has us keep is not among them.
SELECT c.id FROM cases c JOIN case_hits h ON h.case_id = coalesce(c.about, c.id)
WHERE h.person = %(person)s AND c.state IN ('open', 'escalated', 'parked')
UNION
SELECT c.id FROM enrolments n JOIN cases c ON c.id = n.case_id
WHERE n.person = %(person)s AND c.state IN ('open', 'escalated');

-- name: cases_resting_on
-- until: enrolment_cases
-- The same before there was more to it.
SELECT DISTINCT c.id FROM cases c JOIN case_hits h ON h.case_id = coalesce(c.about, c.id)
WHERE h.person = %(person)s AND c.state IN ('open', 'escalated', 'parked');

-- name: cases_resting_on_entries
-- Undecided cases with a hit on one of these entries.
SELECT DISTINCT c.id FROM cases c JOIN case_hits h ON h.case_id = coalesce(c.about, c.id)
WHERE h.entry = ANY(%(entries)s::bigint[]) AND c.state IN ('open', 'escalated', 'parked');

-- name: case_guard
-- A case with an upload that is frozen or was reported elsewhere is for the protected role alone.
UPDATE cases SET state = 'frozen', lease_reviewer = NULL, lease_until = NULL, lease_token = NULL,
  pending_state = NULL, pending_ground = NULL, pending_reason = NULL, pending_by = NULL,
  pending_at = NULL, pending_until = NULL
WHERE id = %(case)s AND state IN ('open', 'escalated', 'parked')
  AND EXISTS (SELECT FROM case_uploads u JOIN cases c ON c.id = u.case_id
              WHERE u.fingerprint = %(fingerprint)s AND c.state IN ('frozen', 'reported'));

-- name: cases_kept_by_law
-- Cases with a hit on a person's entries whose uploads the law has us keep: how many media, until
-- when.
SELECT count(*) AS media, max(m.held_until) AS until FROM media m
WHERE m.held_until > %(now)s AND m.destroyed_at IS NULL
  AND m.case_id IN (SELECT h.case_id FROM case_hits h WHERE h.person = %(person)s);

-- name: case_was_viewed
-- Whether anybody has looked at an upload of a case, or of a case that showed the same uploads: a
-- second look, an appeal, the one that an appeal is about.
WITH mine AS (SELECT coalesce(about, id) AS subject FROM cases WHERE id = %(case)s),
shown AS (SELECT c.id FROM cases c JOIN mine ON c.id = mine.subject OR c.about = mine.subject)
SELECT EXISTS (SELECT FROM shown JOIN audit_log l ON l.subject = 'case:' || shown.id
               WHERE l.action = 'media.revealed');

-- name: cases_reported
-- Cases of apparent minors, the last reported first.
SELECT id FROM cases WHERE state = 'reported' ORDER BY decided_at DESC, id LIMIT 500;

-- name: case_consents
-- What the people that a case concerns allow. They are numbered, not named.
SELECT people.number AS person, c.purpose, c.state, c.changed_at
FROM (SELECT person, row_number() OVER (ORDER BY min(distance), person)::integer AS number
      FROM case_hits WHERE case_id = %(case)s AND person IS NOT NULL GROUP BY person) AS people
JOIN consents c ON c.person = people.person
ORDER BY people.number, c.purpose;

-- name: opinion_add
-- What somebody said about a case.
INSERT INTO opinions (case_id, subject, purpose, kind, queue, reviewer, state, ground, reason, at,
                      agrees)
SELECT c.id, coalesce(c.about, c.id), c.purpose, c.kind, c.queue, %(reviewer)s, %(state)s,
       %(ground)s, %(reason)s, %(at)s, %(agrees)s
FROM cases c WHERE c.id = %(case)s;

-- name: opinions_of
-- What was said about a case itself, in order.
SELECT o.reviewer, o.state, o.ground, o.reason, o.at, o.purpose, r.pseudonym
FROM opinions o JOIN reviewers r ON r.id = o.reviewer
WHERE o.case_id = %(case)s ORDER BY o.at;

-- name: deciders_of
-- Everyone who has said anything about a case's uploads.
SELECT DISTINCT reviewer FROM opinions WHERE subject = %(case)s;

-- name: specimen_for
-- A specimen that somebody has not judged yet, any of them.
SELECT c.id FROM cases c
WHERE c.purpose = 'specimen'
  AND NOT EXISTS (SELECT FROM opinions o
                  WHERE o.subject = c.id AND o.reviewer = %(reviewer)s)
  AND NOT EXISTS (SELECT FROM cases open WHERE open.about = c.id
                  AND open.lease_reviewer = %(reviewer)s)
ORDER BY random() LIMIT 1;

-- name: specimen_made
-- An upload becomes a specimen: its answer is known.
UPDATE cases SET purpose = 'specimen', state = %(state)s, ground = %(ground)s WHERE id = %(case)s;

-- name: specimen_hit
-- What a specimen's match seems to be; there is no entry behind it.
INSERT INTO case_hits (case_id, screening, entry, signal, distance, threshold, bank, source, slot,
                       view)
VALUES (%(case)s, %(screening)s, 0, 'pdq', %(bits)s, 31, 'registered', 'registered', 0, '{}');

-- name: appeal_add
-- Somebody disagrees with a decision.
INSERT INTO appeals (case_id, about, side, platform, person, sealed, made_at)
VALUES (%(case)s, %(about)s, %(side)s, %(platform)s, %(person)s, %(sealed)s, %(now)s)
ON CONFLICT (about, side) DO NOTHING
RETURNING case_id;

-- name: appeal_of
-- The appeal that a case is.
SELECT case_id, about, side, platform, person, sealed, made_at FROM appeals
WHERE case_id = %(case)s;

-- name: appeal_against
-- The appeal that one side has made against a case.
SELECT a.case_id, c.state FROM appeals a JOIN cases c ON c.id = a.case_id
WHERE a.about = %(about)s AND a.side = %(side)s;

-- name: appeals_forget
-- A person's appeals no longer know whose they were, nor what they said.
UPDATE appeals SET person = NULL, sealed = NULL WHERE person = %(person)s;

-- name: case_hits_forget
-- A person's hits become nameless and count no more.
UPDATE case_hits SET person = NULL, withdrawn = true, stretches = '[]', view = '{}'
WHERE person = %(person)s;

-- name: dismissals_forget
-- Pairs with a person's entries are of no use any more.
DELETE FROM dismissals WHERE entry IN (SELECT id FROM entries WHERE person = %(person)s);

-- name: case_hits_forget_entries
-- Hits on entries that were destroyed become nameless and count no more.
UPDATE case_hits SET person = NULL, withdrawn = true, stretches = '[]', view = '{}'
WHERE entry = ANY(%(entries)s::bigint[]);

-- name: dismissals_forget_entries
-- Pairs with entries that were destroyed are of no use any more.
DELETE FROM dismissals WHERE entry = ANY(%(entries)s::bigint[]);
-- name: dismissals_lift
-- An appeal was right: the pairs of a dismissed case may come back.
DELETE FROM dismissals WHERE case_id = %(case)s;

-- name: cases_forget_language
-- Waiting cases with an upload of a platform are to learn their language anew.
UPDATE cases SET language = NULL
WHERE state IN ('open', 'escalated', 'frozen', 'parked')
  AND coalesce(about, id) IN (SELECT case_id FROM case_uploads WHERE platform = %(platform)s)
RETURNING id;

-- name: case_rests_on_frozen
-- Whether a case hit a face whose enrolment is frozen, of somebody who has not left.
SELECT FROM case_hits h JOIN entries e ON e.id = h.entry JOIN enrolments n ON n.item = e.item
JOIN persons p ON p.id = n.person
WHERE h.case_id = %(case)s AND NOT h.withdrawn AND n.state = 'frozen' AND p.withdrawn_at IS NULL
LIMIT 1;

-- name: cases_of_platform
-- Cases in which a platform has an upload, the latest first, older than one of them.
SELECT c.id, c.state, c.opened_at, c.decided_at, c.overturned_by IS NOT NULL AS overturned
FROM cases c
WHERE c.id IN (SELECT u.case_id FROM case_uploads u WHERE u.platform = %(platform)s)
  AND (%(before)s::uuid IS NULL OR c.id < %(before)s)
ORDER BY c.id DESC LIMIT %(limit)s;

-- name: case_overturned
-- Whether an appeal turned a case's decision round.
SELECT overturned_by IS NOT NULL FROM cases WHERE id = %(case)s;
