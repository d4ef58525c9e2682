-- When an uploaded video shows what was registered: a list of stretches, empty for a still.
ALTER TABLE case_hits ADD COLUMN stretches jsonb NOT NULL DEFAULT '[]';
