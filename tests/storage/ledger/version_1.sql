CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE runs (
    run INTEGER PRIMARY KEY,
    pid INTEGER NOT NULL,
    started_at TEXT NOT NULL,
    finished_at TEXT,
    total INTEGER NOT NULL,      -- tasks of the manifest, done or not
    reason TEXT                  -- why it ended; NULL while it runs or after a crash
);

CREATE TABLE tasks (
    task INTEGER PRIMARY KEY,
    key TEXT NOT NULL UNIQUE,
    id TEXT NOT NULL,
    ordinal INTEGER NOT NULL,
    file TEXT NOT NULL,
    line INTEGER NOT NULL,
    listed INTEGER NOT NULL,     -- 1 while the manifest has it
    run INTEGER NOT NULL,        -- the last run that worked on it
    generation INTEGER NOT NULL,
    digest TEXT NOT NULL,
    status TEXT NOT NULL,
    endpoint TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    params TEXT NOT NULL,        -- JSON
    vars TEXT NOT NULL,          -- JSON
    attempts INTEGER NOT NULL,
    remote_id TEXT,
    urls TEXT,                   -- JSON list, while status is 'received'
    http_status INTEGER,
    error_kind TEXT,
    error_code TEXT,
    error_message TEXT,
    revised_prompt TEXT,
    request_id TEXT,
    seed TEXT,                   -- text: seeds beyond 64 bits exist
    cost_usd REAL,
    started_at TEXT,
    finished_at TEXT,
    duration_s REAL
);

CREATE TABLE artifacts (
    task INTEGER NOT NULL REFERENCES tasks (task),
    generation INTEGER NOT NULL,
    n INTEGER NOT NULL,
    path TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    media_type TEXT NOT NULL,
    width INTEGER,
    height INTEGER,
    PRIMARY KEY (task, generation, n)
) WITHOUT ROWID;

CREATE TABLE versions (          -- outcomes of earlier generations
    task INTEGER NOT NULL REFERENCES tasks (task),
    generation INTEGER NOT NULL,
    digest TEXT NOT NULL,
    status TEXT NOT NULL,
    model TEXT NOT NULL,
    prompt TEXT NOT NULL,
    params TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    error_kind TEXT,
    error_message TEXT,
    request_id TEXT,
    cost_usd REAL,
    finished_at TEXT,
    PRIMARY KEY (task, generation)
) WITHOUT ROWID;

PRAGMA application_id = 1650947633;
PRAGMA user_version = 1;

INSERT INTO meta (name, value) VALUES ('identity', '00ff');
INSERT INTO runs (run, pid, started_at, finished_at, total, reason)
VALUES (1, 4711, '2026-11-20T12:00:00+00:00', NULL, 1, NULL);
INSERT INTO tasks (
    task, key, id, ordinal, file, line, listed, run, generation, digest, status, endpoint, model,
    prompt, params, vars, attempts, http_status, seed, cost_usd, started_at, finished_at, duration_s
) VALUES (
    1, '00', 'fox', 0, 'a.csv', 2, 1, 1, 1, 'd', 'succeeded', 'images', 'dall-e-2', 'A fox',
    '{"size":"256x256"}', '{"sku":"A-17"}', 1, 200, '1180591620717411303424', 0.02,
    '2026-11-20T12:00:00+00:00', '2026-11-20T12:00:01+00:00', 1.0
);
INSERT INTO artifacts (task, generation, n, path, size_bytes, sha256, media_type, width, height)
VALUES (1, 1, 1, 'fox-1.png', 1234, '00', 'image/png', 256, 256);
