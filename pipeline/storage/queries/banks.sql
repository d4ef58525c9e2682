-- name: bank_add
-- since: lists_as_banks
-- A new bank.
INSERT INTO banks (name, holder, keeps, owners, notes, kind, test, share, seed, within)
VALUES (%(name)s, %(holder)s, %(keeps)s, %(owners)s, %(notes)s, %(kind)s, %(test)s, %(share)s,
        %(seed)s, %(within)s)
ON CONFLICT (name) DO NOTHING RETURNING name;

-- name: banks_all
-- since: lists_as_banks
-- All banks that are not being given up.
SELECT b.name, b.holder, b.keeps, b.owners, b.notes, b.kind, b.test, b.share, b.seed, b.within
FROM banks b JOIN persons p ON p.id = b.holder
WHERE p.withdrawn_at IS NULL ORDER BY b.name;

-- name: bank_count
-- since: lists_as_banks
-- How many pictures a bank holds, and how many uploads it would have had a person look at.
SELECT (SELECT count(DISTINCT e.item) FROM entries e
        WHERE e.person = %(holder)s AND e.source = 'registered') AS pictures,
       (SELECT count(*) FROM bank_trials t WHERE t.holder = %(holder)s) AS trials;

-- name: bank_trials_by_bank
-- since: lists_as_banks
-- How many uploads tried banks would have had a person look at.
SELECT b.name, count(t.screening)::integer AS uploads
FROM banks b LEFT JOIN bank_trials t ON t.holder = b.holder GROUP BY b.name
HAVING bool_or(b.test) OR count(t.screening) > 0;

-- name: bank_set
-- since: lists_as_banks
-- What is said of a bank.
UPDATE banks SET keeps = %(keeps)s, owners = %(owners)s, notes = %(notes)s, test = %(test)s,
  share = %(share)s, seed = %(seed)s, within = %(within)s
WHERE name = %(name)s;

-- name: banks_outdated
-- since: lists_as_banks
-- Pictures that have lain in their bank for as long as it keeps them.
SELECT DISTINCT e.item, b.holder FROM entries e JOIN banks b ON b.holder = e.person
JOIN persons p ON p.id = b.holder
WHERE e.source = 'registered' AND p.withdrawn_at IS NULL
  AND NOT (b.kind = 'partner' AND b.keeps >= interval '3650 days')
  AND e.created_at <= %(now)s::timestamptz - b.keeps LIMIT %(limit)s;

-- name: bank_tried
-- since: lists_as_banks
-- An upload that a bank would have had a person look at, were it not only tried.
INSERT INTO bank_trials (holder, screening, platform, at)
SELECT p.id, %(screening)s, %(platform)s, %(at)s FROM persons p
WHERE p.id = %(holder)s AND p.withdrawn_at IS NULL FOR KEY SHARE
ON CONFLICT DO NOTHING;

-- name: bank_trials_of
-- since: lists_as_banks
-- Such uploads of a platform (or of all), the latest first.
SELECT t.screening, t.at FROM bank_trials t
WHERE t.holder = %(holder)s AND (%(platform)s::uuid IS NULL OR t.platform = %(platform)s)
  AND (%(before)s::uuid IS NULL OR t.screening < %(before)s)
ORDER BY t.screening DESC LIMIT %(limit)s;

-- name: bank_trials_count
-- since: lists_as_banks
-- How many such uploads a platform had, by bank.
SELECT holder, count(*)::integer AS uploads FROM bank_trials WHERE platform = %(platform)s
GROUP BY holder;

-- name: bank_trials_among
-- since: lists_as_banks
-- How many of some uploads were such, by bank.
SELECT b.name, count(*)::integer AS uploads FROM bank_trials t JOIN banks b ON b.holder = t.holder
WHERE t.screening = ANY(%(screenings)s::uuid[]) GROUP BY b.name ORDER BY b.name;

-- name: bank_trials_forget
-- since: lists_as_banks
-- Old ones.
DELETE FROM bank_trials WHERE at <= %(before)s;

-- name: bank_tries_of
-- since: lists_as_banks
-- Which banks a platform only tries.
SELECT holder FROM bank_tries WHERE platform = %(platform)s;

-- name: bank_try
-- since: lists_as_banks
-- A platform only tries a bank.
INSERT INTO bank_tries (holder, platform) VALUES (%(holder)s, %(platform)s) ON CONFLICT DO NOTHING;

-- name: bank_use
-- since: lists_as_banks
-- A bank counts for a platform.
DELETE FROM bank_tries WHERE holder = %(holder)s AND platform = %(platform)s;

-- name: banks_all
-- until: lists_as_banks
-- The same while negative banks were the only ones.
SELECT b.name, b.holder, b.keeps, b.owners, b.notes, 'negative' AS kind, false AS test,
       1.0::double precision AS share, 0::bigint AS seed, '{}'::jsonb AS within
FROM banks b JOIN persons p ON p.id = b.holder
WHERE p.withdrawn_at IS NULL ORDER BY b.name;

-- name: banks_outdated
-- until: lists_as_banks
-- The same while negative banks were the only ones.
SELECT DISTINCT e.item, b.holder FROM entries e JOIN banks b ON b.holder = e.person
WHERE e.created_at <= %(now)s::timestamptz - b.keeps LIMIT %(limit)s;

-- name: bank_count
-- until: lists_as_banks
-- The same while no bank could be tried.
SELECT (SELECT count(DISTINCT e.item) FROM entries e
        WHERE e.person = %(holder)s AND e.source = 'registered') AS pictures, 0::bigint AS trials;

-- name: bank_trials_by_bank
-- until: lists_as_banks
-- No bank can be tried yet.
SELECT ''::text AS name, 0 AS uploads WHERE false;

-- name: bank_trials_of
-- until: lists_as_banks
-- No bank can be tried yet.
SELECT %(holder)s::uuid AS screening, now() AS at
WHERE false AND (%(platform)s::uuid, %(before)s::uuid, %(limit)s::integer) IS NULL;

-- name: bank_trials_count
-- until: lists_as_banks
-- No bank can be tried yet.
SELECT %(platform)s::uuid AS holder, 0 AS uploads WHERE false;

-- name: bank_trials_among
-- until: lists_as_banks
-- No bank can be tried yet.
SELECT ''::text AS name, 0 AS uploads WHERE %(screenings)s::uuid[] IS NULL;

-- name: bank_trials_forget
-- until: lists_as_banks
-- No bank can be tried yet.
SELECT WHERE %(before)s::timestamptz IS NULL;

-- name: bank_tries_of
-- until: lists_as_banks
-- No bank can be tried yet.
SELECT %(platform)s::uuid AS holder WHERE false;
