-- What is certain of a video before its end is sealed under the upload's own key. The clear column
-- stays for code of before and holds nothing.
ALTER TABLE pending_films ADD COLUMN certain bytea;
UPDATE pending_films SET early = '[]' WHERE early <> '[]';
