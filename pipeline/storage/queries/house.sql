-- name: house_rules_get
-- The organisation's rules for its reviewers.
SELECT document FROM house_rules;

-- name: house_rules_set
-- Other rules.
UPDATE house_rules SET document = %(document)s, changed_at = now();

-- name: look_add
-- Somebody begins to look at a picture.
INSERT INTO looks (id, reviewer, at) VALUES (%(id)s, %(reviewer)s, %(now)s);

-- name: look_began
-- When a look began that goes on.
SELECT at FROM looks WHERE id = %(id)s AND reviewer = %(reviewer)s AND seconds IS NULL;

-- name: look_ended
-- They have let go.
UPDATE looks SET seconds = %(seconds)s
WHERE id = %(id)s AND reviewer = %(reviewer)s AND seconds IS NULL;

-- name: exposure_of
-- How often and how long somebody looked in the last hour and day.
SELECT count(*) FILTER (WHERE at > %(hour_ago)s) AS looks_hour,
       count(*) AS looks_day,
       coalesce(sum(coalesce(seconds, %(assumed)s)) FILTER (WHERE at > %(hour_ago)s), 0)
         ::double precision AS seconds_hour,
       coalesce(sum(coalesce(seconds, %(assumed)s)), 0)::double precision AS seconds_day,
       min(at) FILTER (WHERE at > %(hour_ago)s) AS first_hour,
       min(at) AS first_day
FROM looks WHERE reviewer = %(reviewer)s AND at > %(day_ago)s;

-- name: reviewer_lock
-- One transaction at a time counts what somebody sees.
SELECT id FROM reviewers WHERE id = %(reviewer)s FOR UPDATE;

-- name: looks_purge
-- Looks are counted for a day and forgotten after a month.
DELETE FROM looks WHERE at <= %(before)s;

-- name: shift_get
-- Since when somebody is at work.
SELECT began_at, worked_at, resting_since FROM shifts WHERE reviewer = %(reviewer)s;

-- name: shift_set
-- Since when somebody is at work, or rests.
INSERT INTO shifts (reviewer, began_at, worked_at, resting_since)
VALUES (%(reviewer)s, %(began_at)s, %(worked_at)s, %(resting_since)s)
ON CONFLICT (reviewer) DO UPDATE SET began_at = %(began_at)s, worked_at = %(worked_at)s,
  resting_since = %(resting_since)s;

-- name: optout_set
-- No cases of a kind for somebody.
INSERT INTO optouts (reviewer, kind, until) VALUES (%(reviewer)s, %(kind)s, %(until)s)
ON CONFLICT (reviewer, kind) DO UPDATE SET until = %(until)s;

-- name: optout_end
-- Cases of a kind again.
DELETE FROM optouts WHERE reviewer = %(reviewer)s AND kind = %(kind)s;

-- name: optouts_of
-- Kinds that somebody gets none of just now.
SELECT kind FROM optouts WHERE reviewer = %(reviewer)s AND until > %(now)s;
