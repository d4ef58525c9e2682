-- name: person_add
-- A new person.
INSERT INTO persons (case_number, pin, recovery)
VALUES (%(case_number)s, %(pin)s, %(recovery)s) RETURNING id;

-- name: person_by_recovery
-- Who has a recovery code.
SELECT id, case_number FROM persons WHERE recovery = %(recovery)s;

-- name: person_credentials
-- Another PIN and another recovery code.
UPDATE persons SET pin = %(pin)s, recovery = %(recovery)s WHERE id = %(person)s;

-- name: person_lock
-- A person, held against every other withdrawal.
SELECT id FROM persons WHERE id = %(person)s FOR UPDATE;

-- name: consent_put
-- What a person allows, as of now.
INSERT INTO consents (person, purpose, text_version, state, changed_at)
VALUES (%(person)s, %(purpose)s, %(text_version)s, %(state)s, %(changed_at)s)
ON CONFLICT (person, purpose) DO UPDATE
SET text_version = excluded.text_version, state = excluded.state, changed_at = excluded.changed_at;

-- name: person_by_case_number
-- Who has this case number.
SELECT id, pin, withdrawn_at IS NOT NULL AS withdrawn FROM persons
WHERE case_number = %(case_number)s;

-- name: person_by_case_number_locked
-- Who has this case number, held against every other withdrawal.
SELECT id, pin, withdrawn_at IS NOT NULL AS withdrawn FROM persons
WHERE case_number = %(case_number)s FOR UPDATE;

-- name: person_hold
-- Keep a person from leaving until this transaction ends; no row when she has left.
SELECT id FROM persons WHERE id = %(person)s AND withdrawn_at IS NULL FOR SHARE;

-- name: entry_add
-- One entry; its id comes back.
INSERT INTO entries (person, item, bank, source, upheld_case, space, slots, sealed, layout)
VALUES (%(person)s, %(item)s, %(bank)s, %(source)s, %(upheld_case)s, %(space)s, %(slots)s,
        %(sealed)s, %(layout)s)
RETURNING id;

-- name: change_append
-- One step of the change log; takes the head's lock until the transaction ends, so do it last.
SELECT change_append(%(op)s, %(entries)s::bigint[]) AS seq;

-- name: entry_owners
-- since: lists_as_banks
-- Whose entries are, of those in force, and what is said of the bank or item that they are of.
SELECT e.id, e.item, e.person, e.bank, e.source, e.upheld_case, e.layout, f.parked, f.kept_out,
       b.share, b.seed, b.within, b.test,
       CASE WHEN b.holder IS NOT NULL
         THEN ARRAY(SELECT t.platform FROM bank_tries t WHERE t.holder = b.holder) END AS tried_by
FROM entries e JOIN persons p ON p.id = e.person LEFT JOIN floods f ON f.item = e.item
LEFT JOIN banks b ON b.holder = e.person
WHERE e.id = ANY(%(entries)s::bigint[]) AND e.removed_at IS NULL AND p.withdrawn_at IS NULL;

-- name: entry_owners
-- since: floods
-- until: lists_as_banks
-- The same while lists were no banks.
SELECT e.id, e.item, e.person, e.bank, e.source, e.upheld_case, e.layout, f.parked, f.kept_out,
       NULL::double precision AS share, NULL::bigint AS seed, NULL::jsonb AS within,
       NULL::boolean AS test, NULL::uuid[] AS tried_by
FROM entries e JOIN persons p ON p.id = e.person LEFT JOIN floods f ON f.item = e.item
WHERE e.id = ANY(%(entries)s::bigint[]) AND e.removed_at IS NULL AND p.withdrawn_at IS NULL;

-- name: entry_owners
-- until: floods
-- The same before there was more to it.
SELECT e.id, e.item, e.person, e.bank, e.source, e.upheld_case, e.layout, NULL::text[] AS parked,
       NULL::text[] AS kept_out, NULL::double precision AS share, NULL::bigint AS seed,
       NULL::jsonb AS within, NULL::boolean AS test, NULL::uuid[] AS tried_by
FROM entries e JOIN persons p ON p.id = e.person
WHERE e.id = ANY(%(entries)s::bigint[]) AND e.removed_at IS NULL AND p.withdrawn_at IS NULL;

-- name: person_leave
-- Mark a person as leaving, which waits for every transaction that holds her.
UPDATE persons SET withdrawn_at = %(now)s WHERE id = %(person)s AND withdrawn_at IS NULL;

-- name: consents_withdraw
-- All consents of a person end.
UPDATE consents SET state = 'withdrawn', changed_at = %(now)s WHERE person = %(person)s;

-- name: entries_stop
-- Put all of a person's entries out of force.
UPDATE entries SET removed_at = %(now)s WHERE person = %(person)s AND removed_at IS NULL
RETURNING id;

-- name: item_freeze
-- Put an item out of force without destroying it.
UPDATE entries SET removed_at = %(now)s WHERE item = %(item)s AND removed_at IS NULL RETURNING id;

-- name: item_thaw
-- Put a frozen item back in force.
UPDATE entries SET removed_at = NULL WHERE item = %(item)s RETURNING id;

-- name: entries_of_item
-- An item's entries, frozen or not.
SELECT id, person, space, sealed FROM entries WHERE item = %(item)s ORDER BY id;

-- name: item_destroy
-- Delete an item's entries.
DELETE FROM entries WHERE item = %(item)s RETURNING id, person;
-- name: entries_remove_upheld
-- Delete what an overturned case put into people's banks.
DELETE FROM entries WHERE upheld_case = %(case)s RETURNING id;

-- name: entries_destroy
-- Delete all of a person's entries.
DELETE FROM entries WHERE person = %(person)s;

-- name: person_destroy
-- Delete a person: case number, PIN, consents.
DELETE FROM persons WHERE id = %(person)s;

-- name: change_head
-- The newest sequence of the change log.
SELECT seq FROM change_head;

-- name: change_mark
-- What tells a step of the change log from the same step of another history (a restored backup).
SELECT encode(sha256(convert_to(concat_ws('|', seq, op, entries::text, extract(epoch FROM at)), 'UTF8')), 'hex') AS mark
FROM changes WHERE seq = %(sequence)s;

-- name: changes_after
-- Steps of the change log after a sequence.
SELECT seq, op, entries FROM changes WHERE seq > %(after)s ORDER BY seq LIMIT %(limit)s;

-- name: entries_in_force
-- Everything that an index holds, in order of id.
SELECT id, person, space, sealed FROM entries WHERE removed_at IS NULL ORDER BY id;

-- name: entries_by_id
-- Those of some entries that are in force.
SELECT id, person, space, sealed FROM entries
WHERE id = ANY(%(entries)s::bigint[]) AND removed_at IS NULL ORDER BY id;

-- name: film_lengths
-- How many stretches registered videos have, and the entry that holds their last one.
SELECT item, sum(slots)::integer AS rows, max(id) AS last FROM entries
WHERE item = ANY(%(items)s::uuid[]) AND layout = 'frames' AND removed_at IS NULL GROUP BY item;

-- name: follower_announce
-- A process begins to hold entries.
INSERT INTO followers (process, role, host, pid, born)
VALUES (%(process)s, %(role)s, %(host)s, %(pid)s, %(born)s)
ON CONFLICT (process) DO UPDATE SET applied = NULL, seen_at = now();

-- name: follower_report
-- A process has applied everything up to a sequence.
UPDATE followers SET applied = %(applied)s, seen_at = now() WHERE process = %(process)s;

-- name: followers_all
-- Every process that may hold entries.
SELECT process, role, host, pid, born, applied, clock_timestamp() - seen_at AS silent
FROM followers ORDER BY started_at;

-- name: follower_forget
-- A process holds nothing any more.
DELETE FROM followers WHERE process = %(process)s;
