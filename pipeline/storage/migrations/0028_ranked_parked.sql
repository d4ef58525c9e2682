-- additive
-- The table of what waits shows parked cases too, and reads the first by rank from an index still.
CREATE INDEX cases_waiting ON cases (rank, id)
  WHERE state IN ('open', 'escalated', 'frozen', 'parked');
DROP INDEX cases_ranked;
