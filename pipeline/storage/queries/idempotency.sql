-- name: idempotency_claim
-- Claim a key for a request: a new one, one that is forgotten, or one whose claimer never answered.
INSERT INTO idempotency AS kept (platform, key, request)
VALUES (%(platform)s, %(key)s, %(request)s)
ON CONFLICT (platform, key) DO UPDATE
SET request = excluded.request, status = NULL, answer = NULL, created_at = excluded.created_at
WHERE kept.created_at <= now() - %(remembered)s::interval
   OR (kept.status IS NULL AND kept.request = excluded.request
       AND kept.created_at <= now() - %(patience)s::interval)
RETURNING created_at;

-- name: idempotency_get
-- What is known of a key.
SELECT request, status, answer FROM idempotency WHERE platform = %(platform)s AND key = %(key)s;

-- name: idempotency_answer
-- Remember the answer, unless somebody else has taken the claim over.
UPDATE idempotency SET status = %(status)s, answer = %(answer)s
WHERE platform = %(platform)s AND key = %(key)s AND created_at = %(claimed)s AND status IS NULL;

-- name: idempotency_release
-- Give a claim up without an answer.
DELETE FROM idempotency
WHERE platform = %(platform)s AND key = %(key)s AND created_at = %(claimed)s AND status IS NULL;

-- name: idempotency_purge
-- Forget what is older than it needs to be.
DELETE FROM idempotency WHERE created_at <= now() - %(remembered)s::interval;
