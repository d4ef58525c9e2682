-- name: features_add
-- What an alignment with an entry's picture needs.
INSERT INTO features (entry, mirrored, descriptors, places)
VALUES (%(entry)s, %(mirrored)s, %(descriptors)s, %(places)s);

-- name: features_of
-- What an alignment with an entry's picture needs, while the entry is in force.
SELECT f.mirrored, f.descriptors, f.places
FROM features f JOIN entries e ON e.id = f.entry
WHERE f.entry = %(entry)s AND e.removed_at IS NULL;

-- name: features_kept_of
-- A person's entries under her consent to features: those with local features, and vectors of
-- copy-detection packs, whether or not these are still installed.
SELECT e.id, e.item FROM entries e
WHERE e.person = %(person)s AND e.source = 'registered' AND e.removed_at IS NULL
  AND (e.layout = 'vector' OR EXISTS (SELECT FROM features f WHERE f.entry = e.id))
ORDER BY e.id;

-- name: entry_beside
-- The entry in force that holds the codes of the same item under another signal.
SELECT other.id, other.person, other.space, other.sealed
FROM entries one JOIN entries other ON other.item = one.item AND other.person = one.person
WHERE one.id = %(entry)s AND other.space = %(space)s AND other.removed_at IS NULL
ORDER BY other.id LIMIT 1;
