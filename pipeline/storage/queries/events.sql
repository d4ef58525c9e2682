-- name: event_add
-- Something that a platform must be told.
INSERT INTO events (id, platform, case_id, kind, body)
VALUES (%(id)s, %(platform)s, %(case)s, %(kind)s, %(body)s);

-- name: event_get
-- An event.
SELECT id, platform, case_id, kind, body FROM events WHERE id = %(id)s;

-- name: takedown_add
-- What a platform is told to take down, after a person decided.
INSERT INTO takedowns (case_id, platform, event, decided_by, made_at)
VALUES (%(case)s, %(platform)s, %(event)s, %(decided_by)s, %(made_at)s);

-- name: delivery_attempt_add
-- One attempt at delivery.
INSERT INTO delivery_attempts
  (event, job, attempt, webhook, number, at, status, error, milliseconds)
VALUES (%(event)s, %(job)s, %(attempt)s, %(webhook)s, %(number)s, %(at)s, %(status)s, %(error)s,
  %(milliseconds)s)
ON CONFLICT (event, job, attempt) DO UPDATE
SET at = excluded.at, status = excluded.status, error = excluded.error,
    milliseconds = excluded.milliseconds
RETURNING id;

-- name: event_delivered
-- The platform has it.
UPDATE events SET delivered_at = coalesce(delivered_at, %(at)s) WHERE id = %(id)s;

-- name: events_of_case
-- A case's events for one platform, with how often delivery was tried.
SELECT e.id, e.kind, e.created_at, e.delivered_at,
       (SELECT count(*) FROM delivery_attempts a WHERE a.event = e.id) AS attempts
FROM events e WHERE e.case_id = %(case)s AND e.platform = %(platform)s ORDER BY e.created_at, e.id;

-- name: deliveries_list
-- Deliveries for the operator, newest first. Dead ones of removed webhooks need nobody's attention:
-- the next address is told of their events.
SELECT j.id AS job, e.id AS event, p.name AS platform, j.payload->>'webhook' AS webhook, e.kind,
       e.case_id AS "case", j.state, j.attempts, j.max_attempts, j.run_at, j.last_error,
       e.created_at, e.delivered_at
FROM jobs j JOIN events e ON e.id = j.payload->>'event' JOIN platforms p ON p.id = e.platform
LEFT JOIN webhooks w ON w.id::text = j.payload->>'webhook'
WHERE j.kind = 'deliver' AND (NOT %(dead)s OR (j.state = 'dead' AND w.ended_at IS NULL))
ORDER BY j.id DESC LIMIT %(limit)s;

-- name: events_unsent
-- A platform's events that reached it nowhere and wait nowhere, oldest first.
SELECT e.id, e.kind FROM events e
WHERE e.platform = %(platform)s AND e.delivered_at IS NULL AND e.kind <> 'webhook.test'
  AND NOT EXISTS (SELECT FROM jobs j WHERE j.kind = 'deliver' AND j.payload->>'event' = e.id
                  AND j.state IN ('ready', 'leased'))
ORDER BY e.created_at, e.id;

-- name: events_page
-- A platform's events, the latest first.
SELECT e.id, e.kind, e.case_id AS "case", e.body, e.created_at, e.delivered_at
FROM events e
WHERE e.platform = %(platform)s AND e.kind <> 'webhook.test'
  AND (%(before)s::text IS NULL OR e.id < %(before)s)
ORDER BY e.id DESC LIMIT %(limit)s;
