-- A copy-detection pack's vector of a whole picture is an entry like any other, of a layout of its
-- own, so that it can be found and destroyed whether or not its pack is still installed.
ALTER TABLE entries DROP CONSTRAINT entries_layout_check;
ALTER TABLE entries ADD CONSTRAINT entries_layout_check
  CHECK (layout IN ('picture', 'moment', 'frames', 'bytes', 'vector'));
