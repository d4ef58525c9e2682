-- name: figures_open
-- Undecided cases by queue, kind and state: how many, by how long the law still gives, and by how
-- long they wait. Counted in one pass into a few groups, so that nothing is sorted.
SELECT queue, kind, state, count(*) AS cases,
       count(*) FILTER (WHERE deadline IS NULL) AS due_none,
       count(*) FILTER (WHERE deadline <= %(now)s) AS due_late,
       count(*) FILTER (WHERE deadline > %(now)s AND deadline <= %(six)s) AS due_6h,
       count(*) FILTER (WHERE deadline > %(six)s AND deadline <= %(day)s) AS due_24h,
       count(*) FILTER (WHERE deadline > %(day)s) AS due_48h,
       count(*) FILTER (WHERE opened_at > %(hour_ago)s) AS age_1h,
       count(*) FILTER (WHERE opened_at <= %(hour_ago)s AND opened_at > %(six_ago)s) AS age_6h,
       count(*) FILTER (WHERE opened_at <= %(six_ago)s AND opened_at > %(day_ago)s) AS age_24h,
       count(*) FILTER (WHERE opened_at <= %(day_ago)s AND opened_at > %(three_ago)s) AS age_3d,
       count(*) FILTER (WHERE opened_at <= %(three_ago)s) AS age_older
FROM cases
WHERE state IN ('open', 'escalated', 'frozen', 'parked') AND purpose = 'decide'
GROUP BY queue, kind, state;

-- name: figures_decided
-- Decisions of some days: how many ended in which way, and how long they took, by queue.
SELECT queue, state, count(*) AS cases,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - opened_at))
         AS median,
       percentile_cont(0.95) WITHIN GROUP (ORDER BY extract(epoch FROM decided_at - opened_at))
         AS slowest,
       count(*) FILTER (WHERE deadline IS NOT NULL AND decided_at > deadline) AS late,
       count(*) FILTER (WHERE overturned_by IS NOT NULL) AS overturned
FROM cases
WHERE decided_at > %(since)s AND purpose = 'decide'
  AND state IN ('upheld', 'dismissed', 'stands', 'overturned')
GROUP BY queue, state ORDER BY queue, state;

-- name: figures_hours
-- Decisions of some days by the hours they took.
SELECT least(floor(log(2, greatest(extract(epoch FROM decided_at - opened_at) / 900, 1))), 9)
         ::integer AS bucket,
       count(*) AS cases
FROM cases
WHERE decided_at > %(since)s AND purpose = 'decide'
  AND state IN ('upheld', 'dismissed', 'stands', 'overturned')
GROUP BY 1 ORDER BY 1;

-- name: figures_agreement
-- How often second looks agreed with the first, and golden cases with their known answer.
SELECT queue, purpose, count(*) FILTER (WHERE agrees) AS agree, count(*) AS compared
FROM opinions
WHERE at > %(since)s AND agrees IS NOT NULL AND purpose IN ('second_look', 'golden')
GROUP BY queue, purpose ORDER BY queue, purpose;

-- name: figures_appeals
-- Appeals of some days: who appealed, and what became of it.
SELECT a.side, c.state, count(*) AS appeals
FROM appeals a JOIN cases c ON c.id = a.case_id
WHERE a.made_at > %(since)s GROUP BY a.side, c.state ORDER BY a.side, c.state;

-- name: figures_cases
-- Every case but those that only the protected role may see, a page at a time, for an export.
SELECT c.id, c.kind, c.purpose, c.state, c.queue, c.priority, c.severity, c.spread, c.nearness,
       c.language, c.opened_at, c.deadline, c.decided_at, c.ground, r.pseudonym AS decided_by,
       c.about, c.overturned_by
FROM cases c LEFT JOIN reviewers r ON r.id = c.decided_by
WHERE (%(after)s::uuid IS NULL OR c.id > %(after)s::uuid)
  AND c.state NOT IN ('frozen', 'reported') AND c.purpose <> 'specimen'
ORDER BY c.id LIMIT %(limit)s;

-- name: public_people
-- How people came and went in a period, by the audit trail: who left has no rows any more.
SELECT CASE action WHEN 'person.registered' THEN 'registered'
                   WHEN 'enrolment.asked' THEN 'faces'
                   WHEN 'items.added' THEN 'added'
                   WHEN 'items.withdrawn' THEN 'items_withdrawn'
                   WHEN 'withdrawal.asked' THEN 'withdrawn'
                   ELSE 'lists_removed' END AS what,
       count(*)::integer AS count
FROM audit_log
WHERE at >= %(since)s AND at < %(until)s
  AND action IN ('person.registered', 'enrolment.asked', 'items.added', 'items.withdrawn',
                 'withdrawal.asked', 'exchange.removed')
GROUP BY 1;

-- name: public_uploads
-- Uploads screened in a period, by their answer.
SELECT verdict AS what, count(*)::integer AS count FROM screenings
WHERE received_at >= %(since)s AND received_at < %(until)s AND form <> 'notice' GROUP BY 1;

-- name: public_cases
-- Cases opened in a period by kind, and how they stand now.
SELECT kind, CASE WHEN state IN ('open', 'escalated', 'frozen', 'parked') THEN 'undecided' ELSE state END
         AS outcome, count(*)::integer AS count
FROM cases
WHERE opened_at >= %(since)s AND opened_at < %(until)s AND purpose = 'decide' AND about IS NULL
  AND kind IN ('hash', 'face', 'notice')
GROUP BY 1, 2;

-- name: public_hours
-- Decisions of a period by kind and by how long they took, against the law's 48 hours.
SELECT c.kind, CASE WHEN o.took <= interval '1 hour' THEN '1h'
                    WHEN o.took <= interval '6 hours' THEN '6h'
                    WHEN o.took <= interval '24 hours' THEN '24h'
                    WHEN o.took <= interval '48 hours' THEN '48h' ELSE 'later' END AS within,
       count(*)::integer AS count
FROM cases c, LATERAL (SELECT c.decided_at - coalesce(c.deadline - interval '48 hours', c.opened_at)
                       AS took) o
WHERE c.decided_at >= %(since)s AND c.decided_at < %(until)s AND c.purpose = 'decide'
  AND c.about IS NULL AND c.kind IN ('hash', 'face', 'notice')
  AND c.state IN ('upheld', 'dismissed', 'reported')
GROUP BY 1, 2;

-- name: public_appeals
-- Appeals made in a period by side, and how they ended.
SELECT a.side, CASE WHEN c.state IN ('stands', 'overturned') THEN c.state
                    WHEN c.state = 'withdrawn' THEN 'withdrawn' ELSE 'undecided' END AS outcome,
       count(*)::integer AS count
FROM appeals a JOIN cases c ON c.id = a.case_id
WHERE a.made_at >= %(since)s AND a.made_at < %(until)s AND a.side IN ('uploader', 'registered')
GROUP BY 1, 2;

-- name: public_actions
-- What platforms said in a period that they did.
SELECT action AS what, count(*)::integer AS count FROM screening_actions
WHERE told_at >= %(since)s AND told_at < %(until)s GROUP BY 1;

-- name: public_lists
-- Partners' lists that are followed now, by kind, and what is held of them.
SELECT x.kind, count(DISTINCT x.id)::integer AS lists, count(r.digest)::integer AS records
FROM exchanges x JOIN persons p ON p.id = x.holder AND p.withdrawn_at IS NULL
LEFT JOIN exchange_records r ON r.exchange = x.id GROUP BY 1 ORDER BY 1;
