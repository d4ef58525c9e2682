-- A partner is told of a decision once: what is to be told is marked before it is.
ALTER TABLE exchange_reports
  ADD COLUMN state text NOT NULL DEFAULT 'told' CHECK (state IN ('telling', 'told', 'unsure'));
CREATE INDEX exchange_reports_open ON exchange_reports (exchange) WHERE state = 'telling';
