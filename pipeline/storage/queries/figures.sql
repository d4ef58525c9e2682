-- name: figures_open
-- Undecided cases by how long the law still gives, by how long they wait, by queue and by kind.
SELECT queue, kind, state,
       CASE WHEN deadline IS NULL THEN 'none'
            WHEN deadline <= %(now)s THEN 'late'
            WHEN deadline <= %(now)s::timestamptz + interval '6 hours' THEN '6h'
            WHEN deadline <= %(now)s::timestamptz + interval '24 hours' THEN '24h'
            ELSE '48h' END AS due,
       CASE WHEN opened_at > %(now)s::timestamptz - interval '1 hour' THEN '1h'
            WHEN opened_at > %(now)s::timestamptz - interval '6 hours' THEN '6h'
            WHEN opened_at > %(now)s::timestamptz - interval '24 hours' THEN '24h'
            WHEN opened_at > %(now)s::timestamptz - interval '3 days' THEN '3d'
            ELSE 'older' END AS age,
       count(*) AS cases
FROM cases
WHERE state IN ('open', 'escalated', 'frozen') AND purpose = 'decide'
GROUP BY 1, 2, 3, 4, 5;

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
