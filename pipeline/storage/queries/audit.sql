-- name: audit_append
-- Lengthen the main chain by one record.
SELECT audit_append('main', %(actor)s, %(action)s, %(subject)s, %(body)s) AS seq;

-- name: audit_head
-- The newest link of the main chain.
SELECT chain, seq, hash FROM audit_heads WHERE chain = 'main';

-- name: audit_records
-- The main chain in order, each row with the head as the same snapshot sees it; one row with no
-- record when the chain is empty.
SELECT head.seq AS head_seq, head.hash AS head_hash,
       log.chain, log.seq, log.at, log.actor, log.action, log.subject, log.body, log.hash
FROM audit_heads AS head LEFT JOIN audit_log AS log USING (chain)
WHERE head.chain = 'main'
ORDER BY log.seq;

-- name: audit_screenings
-- The screenings that one record covers.
SELECT id, platform, content_id, verdict, refusal, case_id, policy, index_seq, received_at, form,
       bytes
FROM screenings WHERE audited = %(seq)s;

-- name: audit_recent
-- Records, newest first, below a sequence and about a subject where those are given.
SELECT chain, seq, at, actor, action, subject, body, hash FROM audit_log
WHERE chain = 'main' AND (%(before)s::bigint IS NULL OR seq < %(before)s::bigint)
  AND (%(subject)s::text IS NULL OR subject = %(subject)s)
ORDER BY seq DESC LIMIT %(limit)s;
