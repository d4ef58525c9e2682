-- name: policies_head
-- Counts changes of anything that judges.
SELECT seq FROM policy_head;

-- name: policies_current
-- The newest version of every document.
SELECT DISTINCT ON (platform) platform, version, document, actor, made_at
FROM policies ORDER BY platform, version DESC;

-- name: policy_add
-- A further version, unless another has come before it.
INSERT INTO policies (platform, version, document, actor, made_at)
SELECT %(platform)s, %(version)s, %(document)s, %(actor)s, %(now)s
WHERE %(version)s = 1 + (SELECT coalesce(max(version), 0) FROM policies
                         WHERE platform IS NOT DISTINCT FROM %(platform)s)
ON CONFLICT DO NOTHING RETURNING version;

-- name: policies_history
-- A document's versions, the newest first.
SELECT platform, version, document, actor, made_at FROM policies
WHERE platform IS NOT DISTINCT FROM %(platform)s
  AND (%(before)s::integer IS NULL OR version < %(before)s)
ORDER BY version DESC LIMIT %(limit)s;
