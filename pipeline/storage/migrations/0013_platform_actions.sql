-- What platforms did with uploads, and notices that they pass on.
CREATE TABLE screening_actions (
  screening uuid NOT NULL REFERENCES screenings,
  action text NOT NULL
    CHECK (action IN ('removed', 'restricted', 'labelled', 'restored', 'none')),
  at timestamptz NOT NULL,
  told_at timestamptz NOT NULL,
  note bytea,
  PRIMARY KEY (screening, at, action)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON screening_actions TO consentry_app;

-- A forwarded notice: whose platform passed it on, and a keyed digest of what it calls it.
ALTER TABLE notices
  ADD COLUMN platform uuid REFERENCES platforms,
  ADD COLUMN reference bytea UNIQUE,
  ADD CHECK ((platform IS NULL) = (reference IS NULL));
