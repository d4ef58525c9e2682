-- The review desk: which case comes first and for whom, decisions that can be undone, second
-- looks, appeals, what reviewers saw and when they must rest, and how they prove who they are.

CREATE TABLE house_rules (
  only_one boolean PRIMARY KEY DEFAULT true CHECK (only_one),
  document jsonb NOT NULL DEFAULT '{}',
  changed_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO house_rules DEFAULT VALUES;

ALTER TABLE platforms ADD COLUMN language text;

ALTER TABLE reviewers DROP CONSTRAINT reviewers_role_check;
ALTER TABLE reviewers
  ADD CONSTRAINT reviewers_role_check CHECK (role IN
    ('reviewer', 'senior', 'verifier', 'protected', 'lead', 'operator', 'auditor')),
  -- What colleagues and watermarks call somebody.
  ADD COLUMN pseudonym text NOT NULL UNIQUE
    DEFAULT 'R' || upper(substr(replace(gen_random_uuid()::text, '-', ''), 1, 6)),
  ADD COLUMN queues text[],
  ADD COLUMN preferences jsonb NOT NULL DEFAULT '{}';

ALTER TABLE sessions
  ADD COLUMN proven boolean NOT NULL DEFAULT true,
  ADD COLUMN challenge bytea;
CREATE TABLE second_factors (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  reviewer uuid NOT NULL REFERENCES reviewers ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('key', 'totp')),
  credential bytea UNIQUE,
  public_key bytea,
  counter bigint NOT NULL DEFAULT 0,
  sealed bytea,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at timestamptz,
  CHECK ((kind = 'key') = (credential IS NOT NULL AND public_key IS NOT NULL)),
  CHECK ((kind = 'totp') = (sealed IS NOT NULL))
);
CREATE INDEX second_factors_by_reviewer ON second_factors (reviewer);

ALTER TABLE cases
  ADD COLUMN about uuid REFERENCES cases,
  ADD COLUMN purpose text NOT NULL DEFAULT 'decide'
    CHECK (purpose IN ('decide', 'second_look', 'golden', 'specimen')),
  ADD COLUMN severity smallint NOT NULL DEFAULT 0,
  ADD COLUMN spread integer NOT NULL DEFAULT 0,
  ADD COLUMN nearness real NOT NULL DEFAULT 0,
  ADD COLUMN language text,
  ADD COLUMN queue text NOT NULL DEFAULT 'main',
  ADD COLUMN rank double precision[] NOT NULL DEFAULT '{}',
  ADD COLUMN pending_state text,
  ADD COLUMN pending_ground text,
  ADD COLUMN pending_reason text,
  ADD COLUMN pending_by uuid REFERENCES reviewers,
  ADD COLUMN pending_at timestamptz,
  ADD COLUMN pending_until timestamptz,
  ADD COLUMN overturned_by uuid REFERENCES cases,
  ADD CHECK ((pending_state IS NULL) = (pending_until IS NULL));
DROP INDEX cases_undecided;
CREATE INDEX cases_next ON cases (state, kind, queue, rank, id)
  WHERE state IN ('open', 'escalated', 'frozen') AND pending_until IS NULL;
CREATE INDEX cases_ranked ON cases (rank, id) WHERE state IN ('open', 'escalated', 'frozen');
CREATE INDEX cases_pending ON cases (pending_until) WHERE pending_until IS NOT NULL;
CREATE INDEX cases_about ON cases (about) WHERE about IS NOT NULL;
CREATE INDEX cases_decided ON cases (decided_at, id) WHERE decided_at IS NOT NULL;
CREATE INDEX cases_specimens ON cases (id) WHERE purpose = 'specimen';

-- Where a case stands among the others, by the house rules' order: smaller comes first.
CREATE FUNCTION case_rank(c cases, ordering jsonb) RETURNS double precision[]
LANGUAGE sql STABLE AS $$
  SELECT array_agg(CASE key
      WHEN 'deadline' THEN coalesce(extract(epoch FROM c.deadline), 'infinity')
      WHEN 'priority' THEN -c.priority
      WHEN 'severity' THEN -c.severity
      WHEN 'spread' THEN -floor(log(2, greatest(c.spread, 1)))
      WHEN 'confidence' THEN -floor(c.nearness * 5 + 0.5)
      WHEN 'age' THEN extract(epoch FROM c.opened_at)
    END::double precision ORDER BY place)
  FROM jsonb_array_elements_text(coalesce(ordering,
    '["deadline", "priority", "severity", "spread", "confidence", "age"]'))
    WITH ORDINALITY AS wanted(key, place)
$$;

-- Which queue a case belongs to: the first rule that fits, or the main one.
CREATE FUNCTION case_queue(c cases, routes jsonb) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT coalesce((
    SELECT route->>'name'
    FROM jsonb_array_elements(coalesce(routes, '[]')) WITH ORDINALITY AS rules(route, place)
    WHERE (coalesce(route->'kinds', '[]') = '[]' OR route->'kinds' ? c.kind)
      AND (coalesce(route->'languages', '[]') = '[]'
           OR route->'languages' ? coalesce(c.language, ''))
      AND (coalesce(route->'platforms', '[]') = '[]' OR EXISTS (
           SELECT FROM case_uploads u JOIN platforms p ON p.id = u.platform
           WHERE u.case_id = coalesce(c.about, c.id) AND route->'platforms' ? p.name))
    ORDER BY place LIMIT 1), 'main')
$$;

-- Write down what a case's place rests on, and the place. Called whenever any of it changes.
CREATE FUNCTION case_place(which uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE rules jsonb;
BEGIN
  SELECT document INTO rules FROM house_rules;
  UPDATE cases c SET
    spread = (SELECT count(*) FROM case_uploads u WHERE u.case_id = coalesce(c.about, c.id)),
    nearness = coalesce((
      SELECT max(greatest(0, least(1, CASE
        -- A likeness grows up to 1, bits shrink down to 0.
        WHEN h.metric = 'inner_product'
          THEN (h.distance - h.threshold) / greatest(1 - h.threshold, 0.001)
        ELSE 1 - h.distance / greatest(h.threshold, 1) END)))
      FROM case_hits h WHERE h.case_id = coalesce(c.about, c.id) AND NOT h.withdrawn), 0),
    severity = greatest(
      CASE WHEN c.state = 'escalated' AND c.ground = 'threat' THEN 3 ELSE 0 END,
      coalesce((SELECT max(CASE s.rating WHEN 'intimate' THEN 1 ELSE 0 END)
                FROM case_uploads u JOIN screenings s ON s.id = u.screening
                WHERE u.case_id = coalesce(c.about, c.id)), 0)),
    language = coalesce(c.language, (
      SELECT min(p.language) FROM case_uploads u JOIN platforms p ON p.id = u.platform
      WHERE u.case_id = coalesce(c.about, c.id)))
  WHERE c.id = which;
  UPDATE cases c SET queue = case_queue(c, rules->'queues'), rank = case_rank(c, rules->'order')
  WHERE c.id = which;
END $$;
SELECT case_place(id) FROM cases;

-- Who shall not get a case, and from which platform somebody shall get none. No reason is kept.
CREATE TABLE case_exclusions (
  case_id uuid NOT NULL REFERENCES cases ON DELETE CASCADE,
  reviewer uuid NOT NULL REFERENCES reviewers ON DELETE CASCADE,
  PRIMARY KEY (reviewer, case_id)
);
CREATE TABLE platform_exclusions (
  platform uuid NOT NULL REFERENCES platforms ON DELETE CASCADE,
  reviewer uuid NOT NULL REFERENCES reviewers ON DELETE CASCADE,
  PRIMARY KEY (reviewer, platform)
);
CREATE TABLE optouts (
  reviewer uuid NOT NULL REFERENCES reviewers ON DELETE CASCADE,
  kind text NOT NULL,
  until timestamptz NOT NULL,
  PRIMARY KEY (reviewer, kind)
);

-- Everything that anybody said about a case. `case_id` is the one that was put before them,
-- `subject` the one whose uploads it showed.
CREATE TABLE opinions (
  id uuid PRIMARY KEY DEFAULT uuidv7(),
  case_id uuid NOT NULL REFERENCES cases,
  subject uuid NOT NULL REFERENCES cases,
  purpose text NOT NULL,
  kind text NOT NULL,
  queue text NOT NULL,
  reviewer uuid NOT NULL REFERENCES reviewers,
  state text NOT NULL,
  ground text NOT NULL,
  reason text NOT NULL,
  at timestamptz NOT NULL,
  agrees boolean
);
CREATE INDEX opinions_by_subject ON opinions (subject, at);
CREATE INDEX opinions_by_case ON opinions (case_id);
CREATE INDEX opinions_by_reviewer ON opinions (reviewer, subject);

-- An appeal's statement is sealed under the key of whoever made it: the person, or the platform.
CREATE TABLE appeals (
  case_id uuid PRIMARY KEY REFERENCES cases,
  about uuid NOT NULL REFERENCES cases,
  side text NOT NULL CHECK (side IN ('uploader', 'registered', 'quality')),
  platform uuid REFERENCES platforms,
  person uuid REFERENCES persons ON DELETE SET NULL,
  sealed bytea,
  made_at timestamptz NOT NULL
);
CREATE UNIQUE INDEX appeals_once ON appeals (about, side);
CREATE INDEX appeals_by_person ON appeals (person) WHERE person IS NOT NULL;

-- Each look at a picture, for the limits on what anybody sees, and when they last rested.
CREATE TABLE looks (
  id uuid PRIMARY KEY,
  reviewer uuid NOT NULL REFERENCES reviewers ON DELETE CASCADE,
  at timestamptz NOT NULL,
  seconds real
);
CREATE INDEX looks_by_reviewer ON looks (reviewer, at);
CREATE TABLE shifts (
  reviewer uuid PRIMARY KEY REFERENCES reviewers ON DELETE CASCADE,
  began_at timestamptz NOT NULL,
  worked_at timestamptz NOT NULL,
  resting_since timestamptz
);

-- What the law wants kept beats every wish that it be gone.
ALTER TABLE media ADD COLUMN held_until timestamptz;
ALTER TABLE withdrawals
  ADD COLUMN kept_by_law integer NOT NULL DEFAULT 0,
  ADD COLUMN kept_until timestamptz;

GRANT SELECT, INSERT, UPDATE, DELETE ON
  house_rules, second_factors, case_exclusions, platform_exclusions, optouts, opinions, appeals,
  looks, shifts
  TO consentry_app;
