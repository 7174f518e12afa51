"""The ledger's artifacts of all generations, for `verify` and its repairs."""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from batchgen.errors import StorageError
from batchgen.storage.ledger import rows
from batchgen.storage.ledger.connection import LedgerFile, ensure_not_lost, ledger_error
from batchgen.storage.ledger.sql import SET_META, TASKS_PER_QUERY
from batchgen.storage.ledger.states import BEHIND
from batchgen.text import one_line
from batchgen.types import Status

_PAGE = """
WITH page AS (SELECT DISTINCT task FROM artifacts WHERE task > ? ORDER BY task LIMIT ?)
SELECT task, id, status, artifacts.generation, tasks.generation AS newest, n, path, size_bytes,
    sha256
FROM page JOIN artifacts USING (task) JOIN tasks USING (task)
ORDER BY task, artifacts.generation, n
"""

# A temporary table instead of an index of the ledger, which would slow down every run.
_INDEX_PATHS = """
CREATE TEMP TABLE IF NOT EXISTS known (path TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM known;
INSERT OR IGNORE INTO known SELECT path FROM artifacts;
"""

_KNOWN = "SELECT path FROM known WHERE path IN (SELECT value FROM json_each(?))"

_RESET = """
UPDATE tasks SET status = 'pending', finished_at = NULL, duration_s = NULL
WHERE task = ? AND status = 'succeeded'
"""

_FORGET = "DELETE FROM artifacts WHERE task = ? AND generation = ? AND n = ?"


class StoredArtifact(msgspec.Struct, frozen=True):
    """An artifact in the ledger.

    task, id, status: the row number, id and status of its task.
    current: whether it belongs to the newest generation.
    """

    task: int
    id: str
    status: Status
    generation: int
    current: bool
    n: int
    path: str
    size_bytes: int
    sha256: str


class Inventory(LedgerFile):
    """The ledger file, opened to read all artifacts; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open and migrate an existing file. Raises StorageError if it is missing or damaged."""
        ensure_not_lost(path)
        super().__init__(path)
        try:
            self._refuse_damaged()
        except BaseException:
            self.close()
            raise

    def pages(self) -> Iterator[list[StoredArtifact]]:
        """Yield all artifacts in pages; those of one task are in the same page.

        No transaction stays open between pages, so that a run can go on and `reset` can be called.
        """
        last = 0
        while page := [_stored(row) for row in self._execute(_PAGE, last, TASKS_PER_QUERY)]:
            yield page
            last = page[-1].task

    def index_paths(self) -> None:
        """Collect the current paths of all artifacts for `known`."""
        try:
            self._db.executescript(_INDEX_PATHS)
        except sqlite3.Error as error:
            raise ledger_error(self.path, error) from error

    def known(self, paths: list[str]) -> set[str]:
        """Return those of the paths that were artifacts when `index_paths` was called."""
        return {row["path"] for row in self._read(_KNOWN, rows.text(paths))}

    def reset(self, artifacts: Iterable[StoredArtifact]) -> None:
        """Delete artifacts from the ledger; their tasks become pending if they had succeeded.

        The generation stays the same, and so does the idempotency key. Until results.jsonl is
        written again it has results that the ledger has not.
        """
        with self.changing() as db:
            db.execute(SET_META, (BEHIND, "1"))
            for artifact in artifacts:
                db.execute(_FORGET, (artifact.task, artifact.generation, artifact.n))
                db.execute(_RESET, (artifact.task,))

    def _refuse_damaged(self) -> None:
        report = [str(row[0]) for row in self._read("PRAGMA quick_check(1)")]
        if report != ["ok"]:
            raise StorageError(
                f"the ledger {self.path} is damaged ({one_line(' '.join(report), 200)}): rebuild it"
                f" with `batchgen verify {self.path.parent.parent} --rebuild`"
            )


def _stored(row: sqlite3.Row) -> StoredArtifact:
    return StoredArtifact(
        row["task"], row["id"], Status(row["status"]), row["generation"],
        row["generation"] == row["newest"], row["n"], row["path"], row["size_bytes"],
        row["sha256"],
    )  # fmt: skip
