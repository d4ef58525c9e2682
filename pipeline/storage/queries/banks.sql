-- name: bank_add
-- A new bank.
INSERT INTO banks (name, holder, keeps, owners, notes)
VALUES (%(name)s, %(holder)s, %(keeps)s, %(owners)s, %(notes)s)
ON CONFLICT (name) DO NOTHING RETURNING name;

-- name: banks_all
-- All banks that are not being given up, and how many pictures each holds.
SELECT b.name, b.holder, b.keeps, b.owners, b.notes,
       (SELECT count(DISTINCT e.item) FROM entries e WHERE e.person = b.holder) AS pictures
FROM banks b JOIN persons p ON p.id = b.holder
WHERE p.withdrawn_at IS NULL ORDER BY b.name;

-- name: bank_set
-- What is said of a bank.
UPDATE banks SET keeps = %(keeps)s, owners = %(owners)s, notes = %(notes)s WHERE name = %(name)s;

-- name: banks_outdated
-- Pictures that have lain in their bank for as long as it keeps them.
SELECT DISTINCT e.item FROM entries e JOIN banks b ON b.holder = e.person
WHERE e.created_at <= %(now)s::timestamptz - b.keeps LIMIT %(limit)s;
