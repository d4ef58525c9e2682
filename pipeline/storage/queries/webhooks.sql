-- name: webhook_add
-- A further address of a platform.
INSERT INTO webhooks (platform, url, kinds, private)
VALUES (%(platform)s, %(url)s, %(kinds)s, %(private)s) RETURNING id;

-- name: webhook_change
-- Another address, or other events.
UPDATE webhooks SET url = %(url)s, kinds = %(kinds)s, private = %(private)s
WHERE id = %(id)s AND ended_at IS NULL;

-- name: webhook_get
-- One that has not ended.
SELECT id, platform, url, kinds, private, created_at FROM webhooks
WHERE id = %(id)s AND ended_at IS NULL;

-- name: webhooks_of
-- A platform's, the oldest first.
SELECT id, platform, url, kinds, private, created_at FROM webhooks
WHERE platform = %(platform)s AND ended_at IS NULL ORDER BY id;

-- name: webhooks_hold
-- One transaction at a time counts a platform's webhooks.
SELECT id FROM platforms WHERE id = %(platform)s FOR UPDATE;

-- name: webhook_end
-- Nobody is told there any more.
UPDATE webhooks SET ended_at = now() WHERE id = %(id)s AND ended_at IS NULL;

-- name: webhook_secrets_end
-- Its secrets go with it.
DELETE FROM webhook_secrets WHERE webhook = %(id)s;

-- name: webhook_jobs_end
-- What waited for it will not be sent there; an address that comes later is told of it.
UPDATE jobs SET state = 'dead', finished_at = statement_timestamp(),
  last_error = 'the webhook was removed'
WHERE kind = 'deliver' AND state = 'ready' AND payload->>'webhook' = %(id)s::text;

-- name: webhook_secret_add
-- A further secret, the newest.
INSERT INTO webhook_secrets (webhook, generation, sealed, sealed_as)
VALUES (%(id)s, %(generation)s, %(sealed)s, %(sealed_as)s);

-- name: webhook_secrets_retire
-- The secrets there are go on signing until a time, and no longer than they would have.
UPDATE webhook_secrets SET until = least(coalesce(until, %(until)s), %(until)s)
WHERE webhook = %(id)s;

-- name: webhook_secrets_forget
-- Destroy secrets whose time is over.
DELETE FROM webhook_secrets WHERE until <= %(now)s;

-- name: webhook_secrets_of
-- The secrets that sign now, the newest first.
SELECT generation, sealed, sealed_as, until FROM webhook_secrets
WHERE webhook = %(id)s AND (until IS NULL OR until > %(now)s) ORDER BY generation DESC;

-- name: webhook_generation
-- The number of the newest secret; locked, so that two rotations come one after the other.
SELECT generation FROM webhook_secrets WHERE webhook = %(id)s
ORDER BY generation DESC LIMIT 1 FOR UPDATE;

-- name: webhook_attempts
-- What was tried, the latest first.
SELECT a.id, a.event, e.kind, a.at, a.number, a.status, a.error, a.milliseconds
FROM delivery_attempts a JOIN events e ON e.id = a.event
WHERE a.webhook = %(id)s AND (%(before)s::bigint IS NULL OR a.id < %(before)s)
ORDER BY a.id DESC LIMIT %(limit)s;

-- name: webhook_revive
-- Dead deliveries to one address have their attempts back: of one event, or of all since a time.
UPDATE jobs j SET state = 'ready', attempts = 0, run_at = statement_timestamp(), finished_at = NULL
FROM events e
WHERE j.kind = 'deliver' AND j.state = 'dead' AND e.id = j.payload->>'event'
  AND j.payload->>'webhook' = %(id)s::text AND e.platform = %(platform)s
  AND (%(event)s::text IS NULL OR e.id = %(event)s)
  AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s);

-- name: webhook_replay
-- A delivery to one address for each event that is not waiting for one there: one, or all since.
INSERT INTO jobs (kind, payload, max_attempts)
SELECT 'deliver', jsonb_build_object('event', e.id, 'webhook', %(id)s::text), %(max_attempts)s
FROM events e
WHERE e.platform = %(platform)s AND e.kind <> 'webhook.test'
  AND (%(event)s::text IS NULL OR e.id = %(event)s)
  AND (%(since)s::timestamptz IS NULL OR e.created_at >= %(since)s)
  AND (%(kinds)s::text[] = '{}' OR e.kind = ANY(%(kinds)s))
  AND NOT EXISTS (SELECT FROM jobs j WHERE j.kind = 'deliver' AND j.payload->>'event' = e.id
                  AND j.payload->>'webhook' = %(id)s::text AND j.state IN ('ready', 'leased'))
ORDER BY e.id;
