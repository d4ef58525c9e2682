-- name: withdrawal_add
-- A withdrawal begins.
INSERT INTO withdrawals (id, person, asked_at, seq, entries, holders, done)
VALUES (%(id)s, %(person)s, %(asked_at)s, %(seq)s, %(entries)s, %(holders)s, %(done)s);

-- name: withdrawal_save
-- How far a withdrawal has come; once complete it no longer knows whose it was.
UPDATE withdrawals SET cases_closed = %(cases_closed)s, media_destroyed = %(media_destroyed)s,
  kept_by_law = %(kept_by_law)s, kept_until = %(kept_until)s,
  holders = %(holders)s, done = %(done)s, signature = %(signature)s,
  person = CASE WHEN %(erased)s THEN NULL ELSE person END,
  completed_at = CASE WHEN %(complete)s THEN coalesce(completed_at, now()) END
WHERE id = %(id)s;

-- name: withdrawal_get
-- A withdrawal.
SELECT id, person, asked_at, seq, entries, cases_closed, media_destroyed, kept_by_law, kept_until,
       holders, done, signature
FROM withdrawals WHERE id = %(id)s;

-- name: withdrawal_get_locked
-- A withdrawal, held until the transaction ends.
SELECT id, person, asked_at, seq, entries, cases_closed, media_destroyed, kept_by_law, kept_until,
       holders, done, signature
FROM withdrawals WHERE id = %(id)s FOR UPDATE;

-- name: withdrawal_of
-- The withdrawal that a person has under way.
SELECT id FROM withdrawals WHERE person = %(person)s;

-- name: withdrawals_pending
-- Withdrawals that are not complete.
SELECT id FROM withdrawals WHERE completed_at IS NULL ORDER BY asked_at;
