-- name: screening_add
-- The record of an answer.
INSERT INTO screenings (id, platform, content_id, uploader, rating, form, bytes, mime, verdict,
  refusal, message, matches, notes, case_id, policy, index_seq, milliseconds, received_at, audited, near, blocks)
VALUES (%(id)s, %(platform)s, %(content_id)s, %(uploader)s, %(rating)s, %(form)s, %(bytes)s,
  %(mime)s, %(verdict)s, %(refusal)s, %(message)s, %(matches)s, %(notes)s, %(case_id)s, %(policy)s,
  %(index_seq)s, %(milliseconds)s, %(received_at)s, %(audited)s,
  %(near)s, %(blocks)s);

-- name: screening_add_traced
-- The record of an answer and what its upload leaves: one statement, which keeps both or neither.
WITH answered AS (
  INSERT INTO screenings (id, platform, content_id, uploader, rating, form, bytes, mime, verdict,
    refusal, message, matches, notes, case_id, policy, index_seq, milliseconds, received_at, audited, near, blocks)
  VALUES (%(id)s, %(platform)s, %(content_id)s, %(uploader)s, %(rating)s, %(form)s, %(bytes)s,
    %(mime)s, %(verdict)s, %(refusal)s, %(message)s, %(matches)s, %(notes)s, %(case_id)s, %(policy)s,
    %(index_seq)s, %(milliseconds)s, %(received_at)s, %(audited)s,
    %(near)s, %(blocks)s)
)
INSERT INTO traces (day, screening, index_seq, sealed)
VALUES (%(day)s, %(id)s, %(index_seq)s, %(sealed)s);

-- name: screening_get
-- A platform's own screening.
SELECT id, platform, content_id, uploader, rating, form, verdict, policy, index_seq, received_at,
       milliseconds, bytes, mime, refusal, message, matches, notes, case_id, blocks
FROM screenings WHERE id = %(id)s AND platform = %(platform)s;

-- name: screenings_unaudited
-- Screenings that no audit record covers yet; two auditors never take the same ones.
SELECT id, platform, content_id, form, bytes, verdict, refusal, case_id, policy, index_seq, received_at
FROM screenings WHERE audited IS NULL ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED;

-- name: screenings_mark_audited
-- These screenings are covered by an audit record.
UPDATE screenings SET audited = %(seq)s WHERE id = ANY(%(ids)s::uuid[]);

-- name: screening_mentions
-- Whether a platform was ever answered with a case.
SELECT FROM screenings WHERE case_id = %(case)s AND platform = %(platform)s LIMIT 1;

-- name: screening_get_locked
-- A platform's own screening, held until the transaction ends.
SELECT id, platform, content_id, uploader, rating, form, verdict, policy, index_seq, received_at,
       milliseconds, bytes, mime, refusal, message, matches, notes, case_id, blocks
FROM screenings WHERE id = %(id)s AND platform = %(platform)s FOR UPDATE;

-- name: screening_action_add
-- What a platform did with an upload.
INSERT INTO screening_actions (screening, action, at, told_at, note)
VALUES (%(screening)s, %(action)s, %(at)s, %(told_at)s, %(note)s);

-- name: screening_actions_of
-- What a platform told of an upload of its own, oldest first.
SELECT a.screening, s.platform, a.action, a.at, a.told_at, a.note
FROM screening_actions a JOIN screenings s ON s.id = a.screening
WHERE a.screening = %(screening)s AND s.platform = %(platform)s ORDER BY a.at, a.told_at;

-- name: screening_notes_forget
-- What platforms wrote of uploads that concern somebody who leaves.
UPDATE screening_actions SET note = NULL WHERE note IS NOT NULL AND screening IN (
  SELECT s.id FROM screenings s WHERE s.case_id IN (
    SELECT case_id FROM case_hits WHERE person = %(person)s));

-- name: screening_notes_forget_entries
-- The same of uploads that hit entries which are destroyed.
UPDATE screening_actions SET note = NULL WHERE note IS NOT NULL AND screening IN (
  SELECT s.id FROM screenings s WHERE s.case_id IN (
    SELECT case_id FROM case_hits WHERE entry = ANY(%(entries)s::bigint[])));

-- name: screenings_page
-- A platform's own screenings, the latest first, older than one of them.
SELECT id, platform, content_id, uploader, rating, form, verdict, policy, index_seq, received_at,
       milliseconds, bytes, mime, refusal, message, matches, notes, case_id, blocks
FROM screenings
WHERE platform = %(platform)s
  AND (%(at)s::timestamptz IS NULL OR (received_at, id) < (%(at)s, %(id)s::uuid))
ORDER BY received_at DESC, id DESC LIMIT %(limit)s;

-- name: screenings_last
-- A platform's newest answers, with what was near.
SELECT id, content_id, verdict, received_at, near FROM screenings
WHERE platform = %(platform)s AND form <> 'notice' AND verdict <> 'refused'
ORDER BY received_at DESC, id DESC LIMIT %(limit)s;
