-- name: enrolments_alone
-- One decision about enrolments at a time: what is judged now cannot be outdated by another.
SELECT pg_advisory_xact_lock(7166187219346547310);

-- name: enrolment_add
-- A new enrolment with its templates, sealed under the person's key.
INSERT INTO enrolments (id, person, state, photos, spaces, text_version, asked_at, expires_at,
                        item, organisation, rival, likeness, sealed)
VALUES (%(id)s, %(person)s, %(state)s, %(photos)s, %(spaces)s, %(text_version)s, %(asked_at)s,
        %(expires_at)s, %(item)s, %(organisation)s, %(rival)s, %(likeness)s, %(sealed)s);

-- name: enrolment_get
-- since: enrolment_cases
-- An enrolment of somebody who has not left.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       e.case_id AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.id = %(id)s AND p.withdrawn_at IS NULL;

-- name: enrolment_get
-- until: enrolment_cases
-- The same before there was more to it.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       NULL::uuid AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.id = %(id)s AND p.withdrawn_at IS NULL;

-- name: enrolments_of
-- since: enrolment_cases
-- A person's enrolments, newest first.
SELECT id, person, state, photos, spaces, text_version, asked_at, expires_at,
       item, organisation, rival, likeness, decided_at, reason, case_id AS "case"
FROM enrolments WHERE person = %(person)s ORDER BY asked_at DESC, id DESC;

-- name: enrolments_of
-- until: enrolment_cases
-- The same before there was more to it.
SELECT id, person, state, photos, spaces, text_version, asked_at, expires_at,
       item, organisation, rival, likeness, decided_at, reason, NULL::uuid AS "case"
FROM enrolments WHERE person = %(person)s ORDER BY asked_at DESC, id DESC;

-- name: enrolment_of_item
-- since: enrolment_cases
-- The enrolment whose templates an item holds.
SELECT id, person, state, photos, spaces, text_version, asked_at, expires_at,
       item, organisation, rival, likeness, decided_at, reason, case_id AS "case"
FROM enrolments WHERE item = %(item)s;

-- name: enrolment_of_item
-- until: enrolment_cases
-- The same before there was more to it.
SELECT id, person, state, photos, spaces, text_version, asked_at, expires_at,
       item, organisation, rival, likeness, decided_at, reason, NULL::uuid AS "case"
FROM enrolments WHERE item = %(item)s;

-- name: enrolment_of_case
-- since: enrolment_cases
-- The enrolment of somebody who has not left that a case asks about.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       e.case_id AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.case_id = %(case)s AND p.withdrawn_at IS NULL;

-- name: enrolment_of_case
-- until: enrolment_cases
-- There is none yet.
SELECT WHERE false;

-- name: enrolments_unasked
-- since: enrolment_cases
-- Those that wait and no open case asks about: asked for before there were such cases.
SELECT e.id FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.state IN ('pending', 'frozen') AND p.withdrawn_at IS NULL
  AND NOT EXISTS (SELECT FROM cases c WHERE c.id = e.case_id AND c.state IN ('open', 'escalated'))
ORDER BY e.asked_at, e.id LIMIT %(limit)s;

-- name: enrolments_unasked
-- until: enrolment_cases
-- There is none yet.
SELECT WHERE false;

-- name: enrolment_save
-- since: enrolment_cases
-- Where an enrolment stands, and who decided; templates in force or of an ended one lie not here.
UPDATE enrolments SET state = %(state)s, expires_at = %(expires_at)s, item = %(item)s,
  text_version = %(text_version)s, rival = %(rival)s, likeness = %(likeness)s,
  decided_at = %(decided_at)s, reason = %(reason)s, case_id = %(case)s,
  decided_by = coalesce(%(by)s::uuid, decided_by),
  sealed = CASE WHEN %(keeps)s THEN sealed END
WHERE id = %(id)s;

-- name: enrolment_sealed
-- The sealed templates of an enrolment that is not in force.
SELECT sealed FROM enrolments WHERE id = %(id)s;

-- name: enrolments_waiting
-- since: enrolment_cases
-- Those on which a verifier must decide: what may be a pursuer first, then the oldest.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       e.case_id AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.state IN ('pending', 'frozen') AND p.withdrawn_at IS NULL
ORDER BY e.state = 'pending', e.asked_at, e.id LIMIT %(limit)s;

-- name: enrolments_waiting
-- until: enrolment_cases
-- The same before there was more to it.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       NULL::uuid AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.state IN ('pending', 'frozen') AND p.withdrawn_at IS NULL
ORDER BY e.state = 'pending', e.asked_at, e.id LIMIT %(limit)s;

-- name: enrolments_due
-- since: enrolment_cases
-- Those whose consent has run out.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       e.case_id AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.state IN ('approved', 'frozen', 'pending') AND e.expires_at <= %(now)s
  AND p.withdrawn_at IS NULL
ORDER BY e.expires_at LIMIT %(limit)s;

-- name: enrolments_due
-- until: enrolment_cases
-- The same before there was more to it.
SELECT e.id, e.person, e.state, e.photos, e.spaces, e.text_version, e.asked_at, e.expires_at,
       e.item, e.organisation, e.rival, e.likeness, e.decided_at, e.reason,
       NULL::uuid AS "case"
FROM enrolments e JOIN persons p ON p.id = e.person
WHERE e.state IN ('approved', 'frozen', 'pending') AND e.expires_at <= %(now)s
  AND p.withdrawn_at IS NULL
ORDER BY e.expires_at LIMIT %(limit)s;

-- name: enrolments_destroy
-- Delete all of a person's enrolments.
DELETE FROM enrolments WHERE person = %(person)s;

-- name: voucher_use
-- A voucher counts once.
INSERT INTO vouchers_used (digest, used_at) VALUES (%(digest)s, %(now)s) ON CONFLICT DO NOTHING;
