-- Policy documents, every version of them; the operator's own has no platform.
CREATE TABLE policies (
  platform uuid REFERENCES platforms,
  version integer NOT NULL CHECK (version > 0),
  document jsonb NOT NULL,
  actor text NOT NULL,
  made_at timestamptz NOT NULL,
  UNIQUE NULLS NOT DISTINCT (platform, version)
);
-- Counts changes of anything that judges. Every process reads anew when it has moved.
CREATE TABLE policy_head (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  seq bigint NOT NULL DEFAULT 0
);
INSERT INTO policy_head DEFAULT VALUES;
CREATE FUNCTION policies_moved() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE policy_head SET seq = seq + 1;
  PERFORM pg_notify('consentry_changes', 'policies');
  RETURN NULL;
END $$;
CREATE TRIGGER policies_moved AFTER INSERT ON policies
  FOR EACH STATEMENT EXECUTE FUNCTION policies_moved();
GRANT SELECT, INSERT ON policies TO consentry_app;
GRANT SELECT, UPDATE ON policy_head TO consentry_app;

-- How near an upload came to anybody, nameless, so that another policy can be tried on it; and
-- whether the platform's policy said that the verdict blocks.
ALTER TABLE screenings ADD COLUMN near jsonb, ADD COLUMN blocks boolean;

-- Where a platform wants its cases, unless the house rules say otherwise or know no such queue.
ALTER TABLE cases ADD COLUMN wanted_queue text;
CREATE OR REPLACE FUNCTION case_queue(c cases, routes jsonb) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT route->>'name'
    FROM jsonb_array_elements(coalesce(routes, '[]')) WITH ORDINALITY AS rules(route, place)
    WHERE (coalesce(route->'kinds', '[]') = '[]' OR route->'kinds' ? c.kind)
      AND (coalesce(route->'languages', '[]') = '[]'
           OR route->'languages' ? coalesce(c.language, ''))
      AND (coalesce(route->'platforms', '[]') = '[]' OR EXISTS (
           SELECT FROM case_uploads u JOIN platforms p ON p.id = u.platform
           WHERE u.case_id = coalesce(c.about, c.id) AND route->'platforms' ? p.name))
    ORDER BY place LIMIT 1), (
    SELECT route->>'name' FROM jsonb_array_elements(coalesce(routes, '[]')) AS rules(route)
    WHERE route->>'name' = c.wanted_queue LIMIT 1), 'main')
$$;
