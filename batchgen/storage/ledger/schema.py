"""The ledger's tables as numbered migrations.

`PRAGMA user_version` is the number of migrations that a file has had. A released migration is
never edited: a change is a new migration, with a test that upgrades an old file.
"""

import sqlite3

from batchgen.errors import StorageError

APPLICATION_ID = 0x62677631  # "bgv1": distinguishes a ledger from other SQLite files

_FIRST = """
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
"""

_PARTS = """
CREATE TABLE parts (             -- requests carried out, of tasks that take several
    task INTEGER NOT NULL REFERENCES tasks (task),
    generation INTEGER NOT NULL,
    part INTEGER NOT NULL,       -- from 0
    first INTEGER NOT NULL,      -- the number of its first artifact
    images INTEGER NOT NULL,
    outcome TEXT NOT NULL,       -- JSON
    PRIMARY KEY (task, generation, part)
) WITHOUT ROWID;
"""

_KEYS = """
ALTER TABLE tasks ADD COLUMN idempotency_key TEXT;  -- of the request that was sent last
CREATE INDEX tasks_unknown ON tasks (idempotency_key) WHERE status = 'unknown';
ALTER TABLE runs ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;  -- tasks it found so
ALTER TABLE runs ADD COLUMN settled INTEGER NOT NULL DEFAULT 0;  -- of those, by the usage log
ALTER TABLE runs ADD COLUMN resent INTEGER NOT NULL DEFAULT 0;
"""

_MONEY = """
ALTER TABLE tasks ADD COLUMN at_risk_usd REAL NOT NULL DEFAULT 0;  -- may have been charged
ALTER TABLE tasks ADD COLUMN reply TEXT;  -- path of a paid reply that could not be read
ALTER TABLE versions ADD COLUMN at_risk_usd REAL NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN reply TEXT;
"""

MIGRATIONS: tuple[str, ...] = (_FIRST, _PARTS, _KEYS, _MONEY)


def refuse_other(db: sqlite3.Connection, path: str) -> None:
    """Raise StorageError if the file is of a newer batchgen, or not a ledger."""
    version = _number(db, "user_version")
    if version > len(MIGRATIONS):
        raise StorageError(
            f"{path} was written by a newer batchgen (ledger version {version}, supported up to"
            f" {len(MIGRATIONS)}): upgrade batchgen, or choose another output directory"
        )
    foreign = _number(db, "application_id") != APPLICATION_ID
    if foreign and (version or db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()):
        raise StorageError(f"{path} is not a batchgen ledger: choose another output directory")


def is_current(db: sqlite3.Connection) -> bool:
    """Return whether the file has all migrations."""
    return _number(db, "user_version") == len(MIGRATIONS)


def migrate(db: sqlite3.Connection) -> None:
    """Apply the migrations that the file has not had, one transaction each."""
    version = _number(db, "user_version")
    for number, script in enumerate(MIGRATIONS[version:], version + 1):
        _apply(db, number, script)


def _apply(db: sqlite3.Connection, number: int, script: str) -> None:
    try:
        db.executescript(
            f"BEGIN IMMEDIATE; {script} PRAGMA application_id = {APPLICATION_ID};"
            f" PRAGMA user_version = {number}; COMMIT;"
        )
    except sqlite3.OperationalError:
        if db.in_transaction:
            db.execute("ROLLBACK")
        if _number(db, "user_version") < number:  # else another process was faster
            raise


def _number(db: sqlite3.Connection, pragma: str) -> int:
    return int(db.execute(f"PRAGMA {pragma}").fetchone()[0])
