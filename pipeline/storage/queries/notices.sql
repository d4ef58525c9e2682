-- name: notice_add
-- Somebody asks for content to go.
INSERT INTO notices (id, case_id, code, received_at, sealed, platform, reference)
VALUES (%(id)s, %(case)s, %(code)s, %(received_at)s, %(sealed)s, %(platform)s, %(reference)s);

-- name: notice_by_reference
-- The notice that a platform passed on under a reference of its own.
SELECT id, case_id, received_at, sealed, platform FROM notices WHERE reference = %(reference)s;

-- name: notice_of_case
-- The notice that opened a case.
SELECT id, case_id, received_at, sealed, platform FROM notices WHERE case_id = %(case)s;

-- name: notice_by_code
-- The notice that a code follows.
SELECT id, case_id, received_at, sealed, platform FROM notices WHERE code = %(code)s;

-- name: notices_due
-- Notices decided long enough ago that who wrote them need not be known any more, locked. Those of
-- reported cases are kept for as long as the law has what was reported preserved.
SELECT n.id, n.case_id, n.received_at, n.sealed, n.platform FROM notices n JOIN cases c ON c.id = n.case_id
WHERE n.destroyed_at IS NULL
  AND ((c.state IN ('upheld', 'dismissed', 'withdrawn')
        AND coalesce(c.decided_at, n.received_at) <= %(before)s)
       OR (c.state = 'reported' AND c.decided_at <= %(reported_before)s))
ORDER BY n.received_at LIMIT %(limit)s FOR UPDATE OF n SKIP LOCKED;

-- name: notice_destroyed
-- What a notice said of its writer is gone.
UPDATE notices SET sealed = NULL, destroyed_at = %(now)s WHERE id = %(id)s AND sealed IS NOT NULL;
