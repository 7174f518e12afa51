"""Copies the tasks of one ledger into another, with all columns that the tables have.

Nothing is deleted: a result that replaces an older one becomes a later generation of its task.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from batchgen.storage.ledger import rows
from batchgen.storage.ledger.connection import LedgerFile, connect
from batchgen.storage.ledger.sql import TASKS_PER_QUERY
from batchgen.types import Status

# Tasks are copied from `part` into `main`.
_TASKS = """
SELECT source.task, source.id, source.generation, target.task AS target_task,
    target.generation AS target_generation,
    source.status, coalesce(source.finished_at, source.started_at, '') AS moment,
    target.status AS target_status,
    coalesce(target.finished_at, target.started_at, '') AS target_moment,
    source.digest = target.digest AS same_digest,
    (SELECT json_group_array(sha256) FROM (
        SELECT sha256 FROM part.artifacts AS artifact
        WHERE artifact.task = source.task AND artifact.generation = source.generation ORDER BY n
    )) AS hashes,
    (SELECT json_group_array(sha256) FROM (
        SELECT sha256 FROM main.artifacts AS artifact
        WHERE artifact.task = target.task AND artifact.generation = target.generation ORDER BY n
    )) AS target_hashes
FROM part.tasks AS source LEFT JOIN main.tasks AS target USING (key)
WHERE source.task > ? ORDER BY source.task LIMIT ?
"""

_ARTIFACTS = """
SELECT task, generation, n, path, size_bytes, sha256 FROM part.artifacts
WHERE task IN (SELECT value FROM json_each(?)) ORDER BY task, generation, n
"""

# A temporary table instead of an index of the ledger, which would slow down every run.
_INDEX_PATHS = """
CREATE TEMP TABLE known (path TEXT PRIMARY KEY) WITHOUT ROWID;
INSERT OR IGNORE INTO known SELECT path FROM main.artifacts;
"""

_INDEX_PATH = "INSERT OR IGNORE INTO known (path) VALUES (?)"

_IS_KNOWN = "SELECT 1 FROM known WHERE path = ?"

_KEEP_EXISTING = """
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
    """A task that exists in the target ledger; the fields are those of `SourceTask`."""

    task: int
    generation: int
    status: Status
    moment: str
    hashes: str


class SourceTask(msgspec.Struct, frozen=True):
    """A task of the source ledger.

    task: its row number. moment: when it ended, or else began, in ISO 8601; "" if neither.
    hashes: of its newest artifacts, in order, as a JSON list.
    existing: the task with the same key in the target ledger.
    same_request: whether both have the same request.
    """

    task: int
    id: str
    generation: int
    status: Status
    moment: str
    hashes: str
    existing: TargetTask | None
    same_request: bool


class SourceArtifact(msgspec.Struct, frozen=True):
    """An artifact of the source ledger, of any generation."""

    task: int
    generation: int
    n: int
    path: str
    size_bytes: int
    sha256: str


class MergeTarget(LedgerFile):
    """The ledger that others are merged into; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open the file, which is made if it is missing. Raises StorageError."""
        super().__init__(path)
        self._db.executescript(_INDEX_PATHS)
        self._keep_existing = self._with_columns(_KEEP_EXISTING, "versions", set())
        self._take_task = self._with_columns(_TAKE_TASK, "tasks", {"task", "generation"})
        self._take_versions = self._with_columns(_TAKE_VERSIONS, "versions", {"task"})
        explicit = {"task", "generation", "path"}
        self._take_artifact = self._with_columns(_TAKE_ARTIFACT, "artifacts", explicit)

    @contextmanager
    def attach(self, path: Path) -> Iterator[None]:
        """Make the ledger at `path` the source until the context ends. Raises StorageError."""
        connect(path).close()  # migrates it: both have the same columns afterwards
        self._execute("ATTACH ? AS part", os.fsencode(path))
        try:
            yield
        finally:
            self._execute("DETACH part")

    def pages(self) -> Iterator[list[SourceTask]]:
        """Yield the source's tasks, page by page."""
        last = 0
        while page := [_source_task(row) for row in self._execute(_TASKS, last, TASKS_PER_QUERY)]:
            yield page
            last = page[-1].task

    def artifacts(self, tasks: list[int]) -> Iterator[SourceArtifact]:
        """Return the artifacts of the source's tasks, of all generations."""
        return (SourceArtifact(*row) for row in self._execute(_ARTIFACTS, rows.text(tasks)))

    def is_known(self, path: str) -> bool:
        """Return whether the target has an artifact at this path."""
        return bool(self._execute(_IS_KNOWN, path))

    def take(self, source: SourceTask, generation: int) -> int:
        """Copy a task, with `generation` as the number of its newest one; return its row number."""
        existing = source.existing
        number, newest = (existing.task, existing.generation) if existing else (None, 0)
        self._execute(self._keep_existing, number, generation)
        self._execute(self._take_task, number, generation, source.task)
        (row,) = self._execute("SELECT last_insert_rowid()")
        task = int(row[0])
        self._execute(self._take_versions, task, source.task, newest)
        return task

    def take_artifact(
        self, task: int, generation: int, path: str, artifact: SourceArtifact
    ) -> None:
        """Copy an artifact whose file is at `path` in the target."""
        values = (task, generation, path, artifact.task, artifact.generation, artifact.n)
        self._execute(self._take_artifact, *values)
        self._execute(_INDEX_PATH, path)

    def _with_columns(self, statement: str, table: str, explicit: set[str]) -> str:
        """Fill in the table's columns, except those that the statement names explicitly."""
        columns = [row["name"] for row in self._execute(f"PRAGMA main.table_info({table})")]
        return statement.format(columns=", ".join(c for c in columns if c not in explicit))


def _source_task(row: sqlite3.Row) -> SourceTask:
    existing = None
    if row["target_task"] is not None:
        existing = TargetTask(
            row["target_task"], row["target_generation"], Status(row["target_status"]),
            row["target_moment"], row["target_hashes"],
        )  # fmt: skip
    return SourceTask(
        row["task"], row["id"], row["generation"], Status(row["status"]), row["moment"],
        row["hashes"], existing, bool(row["same_digest"]),
    )  # fmt: skip
