"""Takes the tasks of one ledger over into another, whatever columns they have.

What the other ledger has is never taken away: a result that takes the place of an older one is
appended to its task as a later generation.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from batchgen.storage.ledger import rows
from batchgen.storage.ledger.connection import LedgerFile, connect
from batchgen.storage.ledger.sql import TASKS_AT_ONCE
from batchgen.types import Status

# `part` is the ledger whose tasks are taken over, `main` the one that they are taken into.
_TASKS = """
SELECT theirs.task, theirs.id, theirs.generation, ours.task AS our_task,
    ours.generation AS our_generation,
    theirs.status, coalesce(theirs.finished_at, theirs.started_at, '') AS moment,
    ours.status AS our_status, coalesce(ours.finished_at, ours.started_at, '') AS our_moment,
    theirs.digest = ours.digest AS same_digest,
    (SELECT json_group_array(sha256) FROM (
        SELECT sha256 FROM part.artifacts AS one
        WHERE one.task = theirs.task AND one.generation = theirs.generation ORDER BY n
    )) AS hashes,
    (SELECT json_group_array(sha256) FROM (
        SELECT sha256 FROM main.artifacts AS one
        WHERE one.task = ours.task AND one.generation = ours.generation ORDER BY n
    )) AS our_hashes
FROM part.tasks AS theirs LEFT JOIN main.tasks AS ours USING (key)
WHERE theirs.task > ? ORDER BY theirs.task LIMIT ?
"""

_ARTIFACTS = """
SELECT task, generation, n, path, size_bytes, sha256 FROM part.artifacts
WHERE task IN (SELECT value FROM json_each(?)) ORDER BY task, generation, n
"""

# A table of its own instead of an index of the ledger: runs need not pay for it.
_LEARN_PATHS = """
CREATE TEMP TABLE known (path TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT OR IGNORE INTO known SELECT path FROM main.artifacts;
"""

_LEARN_PATH = "INSERT OR IGNORE INTO known (path) VALUES (?)"

_IS_KNOWN = "SELECT 1 FROM known WHERE path = ?"

_KEEP_OURS = """
INSERT OR IGNORE INTO main.versions ({columns})
SELECT {columns} FROM main.tasks WHERE task = ? AND generation < ?
"""

_TAKE_TASK = """
INSERT OR REPLACE INTO main.tasks (task, generation, {columns})
SELECT ?, ?, {columns} FROM part.tasks WHERE task = ?
"""

_TAKE_VERSIONS = """
INSERT OR IGNORE INTO main.versions (task, {columns})
SELECT ?, {columns} FROM part.versions WHERE task = ? AND generation > ?
"""

_TAKE_ARTIFACT = """
INSERT OR REPLACE INTO main.artifacts (task, generation, path, {columns})
SELECT ?, ?, ?, {columns} FROM part.artifacts WHERE task = ? AND generation = ? AND n = ?
"""


class TargetTask(msgspec.Struct, frozen=True):
    """What the ledger that is merged into has of a task: as `SourceTask`."""

    task: int
    generation: int
    status: Status
    moment: str
    hashes: str


class SourceTask(msgspec.Struct, frozen=True):
    """A task of the ledger that is taken over.

    moment: when it ended, or else began, in ISO 8601. hashes: of its newest artifacts, in order.
    ours: what is there under the same key; same_request: whether that is of the same request.
    """

    task: int
    id: str
    generation: int
    status: Status
    moment: str
    hashes: str
    ours: TargetTask | None
    same_request: bool


class SourceArtifact(msgspec.Struct, frozen=True):
    """An artifact of the ledger that is taken over, of any generation."""

    task: int
    generation: int
    n: int
    path: str
    size_bytes: int
    sha256: str


class MergeTarget(LedgerFile):
    """The ledger that others are merged into; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open or make it. Raises StorageError."""
        super().__init__(path)
        self._db.executescript(_LEARN_PATHS)
        self._keep_ours = self._filled(_KEEP_OURS, "versions", set())
        self._take_task = self._filled(_TAKE_TASK, "tasks", {"task", "generation"})
        self._take_versions = self._filled(_TAKE_VERSIONS, "versions", {"task"})
        chosen = {"task", "generation", "path"}
        self._take_artifact = self._filled(_TAKE_ARTIFACT, "artifacts", chosen)

    @contextmanager
    def beside(self, path: Path) -> Iterator[None]:
        """Have the ledger at `path` as the one whose tasks are taken over."""
        connect(path).close()  # of an older version: both have the same columns afterwards
        self._execute("ATTACH ? AS part", str(path))
        try:
            yield
        finally:
            self._execute("DETACH part")

    def pages(self) -> Iterator[list[SourceTask]]:
        """Their tasks, page by page, with what is there of each."""
        after = 0
        while page := [_theirs(row) for row in self._execute(_TASKS, after, TASKS_AT_ONCE)]:
            yield page
            after = page[-1].task

    def artifacts(self, tasks: list[int]) -> Iterator[SourceArtifact]:
        """The artifacts of their tasks, of all generations."""
        return (SourceArtifact(*row) for row in self._execute(_ARTIFACTS, rows.text(tasks)))

    def is_known(self, path: str) -> bool:
        """Whether an artifact of any task stands at this path."""
        return bool(self._execute(_IS_KNOWN, path))

    def take(self, theirs: SourceTask, generation: int) -> int:
        """Take a task over, its newest generation under this number; return its row number."""
        ours = theirs.ours
        number, after = (ours.task, ours.generation) if ours is not None else (None, 0)
        self._execute(self._keep_ours, number, generation)
        self._execute(self._take_task, number, generation, theirs.task)
        (row,) = self._execute("SELECT last_insert_rowid()")
        task = int(row[0])
        self._execute(self._take_versions, task, theirs.task, after)
        return task

    def take_artifact(self, task: int, generation: int, path: str, their: SourceArtifact) -> None:
        """Take an artifact over that stands at `path` now."""
        values = (task, generation, path, their.task, their.generation, their.n)
        self._execute(self._take_artifact, *values)
        self._execute(_LEARN_PATH, path)

    def _filled(self, statement: str, table: str, chosen: set[str]) -> str:
        """A statement with all columns that the table has beside those that are chosen."""
        columns = [row["name"] for row in self._execute(f"PRAGMA main.table_info({table})")]
        return statement.format(columns=", ".join(c for c in columns if c not in chosen))


def _theirs(row: sqlite3.Row) -> SourceTask:
    ours = None
    if row["our_task"] is not None:
        ours = TargetTask(
            row["our_task"], row["our_generation"], Status(row["our_status"]), row["our_moment"],
            row["our_hashes"],
        )  # fmt: skip
    return SourceTask(
        row["task"], row["id"], row["generation"], Status(row["status"]), row["moment"],
        row["hashes"], ours, bool(row["same_digest"]),
    )  # fmt: skip
