"""The SQL statements of the ledger."""

TASKS_PER_QUERY = 500  # tasks that one query reads

DELETE_META = "DELETE FROM meta WHERE name = ?"

SET_META = "INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)"

SENT_TO_UNKNOWN = "UPDATE tasks SET status = 'unknown' WHERE status = 'sent'"

INSERT_RUN = "INSERT INTO runs (pid, started_at, total, unknown) VALUES (?, ?, ?, ?)"

END_RUN = "UPDATE runs SET finished_at = ?, reason = ?, settled = ?, resent = ? WHERE run = ?"

LAST_RUN = """
SELECT run, pid, started_at, finished_at, total, reason, unknown, settled, resent
FROM runs ORDER BY run DESC LIMIT 1
"""

SENT = """
INSERT INTO tasks (
    key, id, ordinal, file, line, listed, run, generation, digest, status, endpoint, model,
    prompt, params, vars, attempts, started_at, idempotency_key, at_risk_usd
) VALUES (?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (key) DO UPDATE SET
    id = excluded.id, ordinal = excluded.ordinal, file = excluded.file, line = excluded.line,
    listed = 1, run = excluded.run, generation = excluded.generation, digest = excluded.digest,
    status = excluded.status, endpoint = excluded.endpoint, model = excluded.model,
    prompt = excluded.prompt, params = excluded.params, vars = excluded.vars,
    attempts = excluded.attempts, started_at = excluded.started_at,
    idempotency_key = excluded.idempotency_key, at_risk_usd = excluded.at_risk_usd,
    remote_id = NULL, urls = NULL, http_status = NULL, error_kind = NULL, error_code = NULL,
    error_message = NULL, revised_prompt = NULL, request_id = NULL, seed = NULL, cost_usd = NULL,
    finished_at = NULL, duration_s = NULL, reply = NULL
"""

SENT_AGAIN = """
UPDATE tasks SET status = 'sent', attempts = ?, run = ?, idempotency_key = ?,
    at_risk_usd = max(0.0, ? - coalesce(cost_usd, 0.0))
WHERE key = ?
"""

COUNT_UNKNOWN = "SELECT count(*) AS count FROM tasks WHERE status = 'unknown'"

UNKNOWN_SENT_AT = """
SELECT idempotency_key, started_at FROM tasks
WHERE status = 'unknown' AND idempotency_key IS NOT NULL
"""

# Generated and charged: the status stays `unknown`.
RECONCILE_CHARGED = """
UPDATE tasks SET request_id = ?1, cost_usd = coalesce(?2, cost_usd),
    at_risk_usd = max(0.0, at_risk_usd - coalesce(?2, 0.0))
WHERE status = 'unknown' AND idempotency_key = ?3
"""

# Nothing was generated: the task is sent as if for the first time. Of several attempts, the log may
# not list all yet.
RECONCILE_FREE = """
UPDATE tasks SET status = 'pending', request_id = ?,
    at_risk_usd = CASE WHEN attempts > 1 THEN at_risk_usd ELSE 0.0 END
WHERE status = 'unknown' AND idempotency_key = ?
"""

KEEP_VERSION = """
INSERT OR IGNORE INTO versions (
    task, generation, digest, status, model, prompt, params, attempts, error_kind, error_message,
    request_id, cost_usd, finished_at, reply, at_risk_usd
)
SELECT
    task, generation, digest, status, model, prompt, params, attempts, error_kind, error_message,
    request_id, cost_usd, finished_at, reply, at_risk_usd
FROM tasks WHERE key = ? AND generation < ?
"""

RECEIVED = """
UPDATE tasks SET status = 'received', urls = ?, http_status = ?, request_id = ?,
    revised_prompt = ?, seed = ?, cost_usd = ?, at_risk_usd = ?
WHERE key = ?
"""

SUBMITTED = """
UPDATE tasks SET status = 'submitted', remote_id = ?, http_status = ?, request_id = ?
WHERE key = ?
"""

# The HTTP status and request id of a reply whose URLs were committed are kept: the download that
# follows has none.
OUTCOME = """
UPDATE tasks SET
    urls = CASE WHEN ? = 'received' THEN urls END, status = ?, attempts = ?,
    http_status = coalesce(?, CASE WHEN status = 'received' THEN http_status END),
    error_kind = ?, error_code = ?, error_message = ?, revised_prompt = ?,
    request_id = coalesce(?, CASE WHEN status = 'received' THEN request_id END),
    seed = ?, cost_usd = ?, started_at = ?, finished_at = ?, duration_s = ?, reply = ?,
    at_risk_usd = ?
WHERE key = ?
"""

INSERT_ARTIFACT = """
INSERT OR REPLACE INTO artifacts (
    task, generation, n, path, size_bytes, sha256, media_type, width, height
)
SELECT task, ?, ?, ?, ?, ?, ?, ?, ? FROM tasks WHERE key = ?
"""

PART_DONE = """
INSERT OR REPLACE INTO parts (task, generation, part, first, images, outcome)
SELECT task, ?, ?, ?, ?, ? FROM tasks WHERE key = ?
"""

# The received URLs belong to this part; the next one has none yet.
BETWEEN_PARTS = """
UPDATE tasks SET status = 'pending', urls = NULL, remote_id = NULL, cost_usd = ?, at_risk_usd = ?
WHERE key = ?
"""

# Parts of a failed generation of the same request are not generated again by the next one.
CARRY_PARTS = """
INSERT OR IGNORE INTO parts (task, generation, part, first, images, outcome)
SELECT task, ?, part, first, images, json_set(outcome, '$.cost_usd', 0.0)
FROM parts JOIN tasks USING (task, generation) WHERE key = ? AND digest = ? AND generation < ?
"""

CARRY_ARTIFACTS = """
INSERT OR IGNORE INTO artifacts (
    task, generation, n, path, size_bytes, sha256, media_type, width, height
)
SELECT task, ?, n, path, size_bytes, sha256, media_type, width, height
FROM artifacts JOIN tasks USING (task, generation)
WHERE key = ? AND digest = ? AND generation < ? AND EXISTS (
    SELECT 1 FROM parts WHERE parts.task = artifacts.task
    AND parts.generation = artifacts.generation AND n BETWEEN first AND first + images - 1
)
"""

# A part is whole if no artifact of it is missing; `verify --fix` deletes damaged ones.
PARTS = """
SELECT key, outcome, images = (
    SELECT count(*) FROM artifacts WHERE artifacts.task = parts.task
    AND artifacts.generation = parts.generation AND n BETWEEN first AND first + images - 1
) AS whole
FROM parts JOIN tasks USING (task, generation)
WHERE key IN (SELECT value FROM json_each(?)) ORDER BY key, part
"""

PENDING = """
INSERT OR IGNORE INTO tasks (
    key, id, ordinal, file, line, listed, run, generation, digest, status, endpoint, model,
    prompt, params, vars, attempts
) VALUES (?, ?, ?, ?, ?, 1, ?, 1, ?, ?, ?, ?, ?, ?, ?, 0)
"""

PRIORS = """
SELECT key, status, digest, generation, attempts, error_kind, remote_id, urls, revised_prompt,
    seed, cost_usd, reply, at_risk_usd
FROM tasks WHERE key IN (SELECT value FROM json_each(?))
"""

POSITIONS = "SELECT key, task, ordinal, line, listed, digest, status FROM tasks"

POSITIONS_OF = """
SELECT key, task, ordinal, line, listed, digest, status FROM tasks
WHERE key IN (SELECT value FROM json_each(?))
"""

REPOSITION = "UPDATE tasks SET ordinal = ?, file = ?, line = ?, listed = 1 WHERE task = ?"

UNLIST = "UPDATE tasks SET listed = 0 WHERE task = ?"

COUNT_LISTED = "SELECT count(*) AS count FROM tasks WHERE listed = 1"

LISTED = "SELECT task FROM tasks WHERE listed = 1"

OWNER = """
SELECT key FROM artifacts JOIN tasks USING (task) WHERE path = ? LIMIT 1
"""

IN_ORDER = "SELECT task FROM tasks WHERE listed >= ? ORDER BY listed DESC, ordinal, task"

_OF_WANTED = """
FROM json_each(?) AS wanted
JOIN tasks ON tasks.task = wanted.value
LEFT JOIN artifacts USING (task, generation)
ORDER BY wanted.key, n
"""

RECORDS = f"""
SELECT tasks.*, artifacts.path, size_bytes, sha256, media_type, width, height
{_OF_WANTED}
"""

RESULT_ROWS = f"""
SELECT tasks.task, tasks.id, tasks.key, line, status, model, prompt, params, vars, attempts,
    http_status, error_kind, error_code, error_message, revised_prompt, request_id, cost_usd,
    started_at, finished_at, duration_s, reply, artifacts.path, size_bytes, sha256, media_type,
    width, height
{_OF_WANTED}
"""

RECORDS_BY_KEY = """
SELECT tasks.*, artifacts.path, size_bytes, sha256, media_type, width, height
FROM tasks LEFT JOIN artifacts USING (task, generation)
WHERE key IN (SELECT value FROM json_each(?)) ORDER BY task, n
"""

COUNTS = "SELECT status, count(*) AS count FROM tasks WHERE listed = 1 GROUP BY status"

SUMS = """
SELECT
    coalesce(sum(cost_usd), 0.0) AS cost_usd,
    coalesce(sum(status = 'succeeded' AND cost_usd IS NULL), 0) AS unpriced,
    coalesce(sum(attempts), 0) AS attempts
FROM tasks WHERE listed = 1
"""

SPENT = """
SELECT coalesce(sum(cost_usd), 0.0) AS cost_usd, coalesce(sum(at_risk_usd), 0.0) AS at_risk_usd
FROM (
    SELECT cost_usd, at_risk_usd FROM tasks
    UNION ALL SELECT cost_usd, at_risk_usd FROM versions
)
"""

ARTIFACT_SUMS = """
SELECT count(*) AS count, coalesce(sum(size_bytes), 0) AS size_bytes
FROM artifacts JOIN tasks USING (task, generation) WHERE listed = 1
"""

FINISHED_SINCE = "SELECT count(*) AS count FROM tasks WHERE finished_at >= ?"

UNKNOWN_TO_FAILED = """
UPDATE tasks SET status = 'failed', error_kind = 'unknown', error_code = NULL,
    error_message = 'sent, but the outcome is not known (--on-unknown fail)'
WHERE status = 'unknown' AND remote_id IS NULL
"""

# Unknown tasks that became failed (`--on-unknown fail`) may have been charged too.
POSSIBLY_CHARGED = """
SELECT * FROM tasks WHERE status = 'unknown' OR (status = 'failed' AND error_kind = 'unknown')
"""

VARIABLE_NAMES = """
SELECT DISTINCT json_each.key AS name FROM tasks, json_each(tasks.vars) WHERE listed >= ?
"""

UNSUCCESSFUL = """
SELECT * FROM tasks WHERE listed = 1 AND status IN ('failed', 'refused', 'unknown', 'skipped')
"""

FIND_BY_HASH = """
SELECT task FROM artifacts JOIN tasks USING (task, generation) WHERE sha256 = ?
ORDER BY listed DESC, ordinal LIMIT 1
"""

MEAN_DURATION = """
SELECT avg(duration_s) AS duration_s FROM (
    SELECT duration_s FROM tasks WHERE status = 'succeeded' ORDER BY task DESC LIMIT 1000
)
"""

# Paid replies that earlier runs could not read. Only the result is missing: it may be in the file.
KEPT_REPLIES = """
SELECT * FROM tasks WHERE listed = 1 AND reply IS NOT NULL
    AND status IN ('failed', 'unknown', 'pending')
"""

# Sent, without an outcome: a crash may have kept the reply and lost the rest.
UNKNOWN_OF = """
SELECT * FROM tasks WHERE key = ? AND generation = ? AND status = 'unknown' AND remote_id IS NULL
"""

# The reply has a result, or the id of a job: the run reads it again and goes on from there.
READABLE = "UPDATE tasks SET status = 'received', urls = NULL, reply = ? WHERE key = ?"

UNREAD = """
UPDATE tasks SET status = 'failed', error_kind = ?, error_code = ?, error_message = ?, reply = ?
WHERE key = ?
"""
