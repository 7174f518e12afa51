"""The ledger's artifacts of all generations, streamed for `verify`, and taken back where they are
damaged.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

from batchgen.errors import StorageError
from batchgen.storage.ledger import rows
from batchgen.storage.ledger.connection import LedgerFile, ensure_not_lost, unusable
from batchgen.storage.ledger.sql import TASKS_AT_ONCE
from batchgen.text import one_line
from batchgen.types import Status

_PAGE = """
WITH page AS (SELECT DISTINCT task FROM artifacts WHERE task > ? ORDER BY task LIMIT ?)
SELECT task, id, status, artifacts.generation, tasks.generation AS newest, n, path, size_bytes,
    sha256
FROM page JOIN artifacts USING (task) JOIN tasks USING (task)
ORDER BY task, artifacts.generation, n
"""

# A table of its own instead of an index of the ledger: runs need not pay for it.
_KNOW_PATHS = """
CREATE TEMP TABLE IF NOT EXISTS known (path TEXT PRIMARY KEY) WITHOUT ROWID;
DELETE FROM known;
INSERT OR IGNORE INTO known SELECT path FROM artifacts;
"""

_KNOWN = "SELECT path FROM known WHERE path IN (SELECT value FROM json_each(?))"

_AGAIN = """
UPDATE tasks SET status = 'pending', finished_at = NULL, duration_s = NULL
WHERE task = ? AND status = 'succeeded'
"""

_FORGET = "DELETE FROM artifacts WHERE task = ? AND generation = ? AND n = ?"


class StoredArtifact(msgspec.Struct, frozen=True):
    """An artifact as the ledger knows it.

    task: the row number of its task, `id` the task's id, `status` that of its newest generation.
    current: whether it is of the newest generation.
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
    """The ledger file, opened for going through its artifacts; a context manager."""

    def __init__(self, path: Path) -> None:
        """Open and migrate an existing file; raise StorageError where it is no sound ledger."""
        ensure_not_lost(path)
        super().__init__(path)
        try:
            self._refuse_damaged()
        except BaseException:
            self.close()
            raise

    def pages(self) -> Iterator[list[StoredArtifact]]:
        """All artifacts, page by page; those of one task are never parted.

        No transaction stays open between two pages: a run may go on, and pages may be mended.
        """
        after = 0
        while page := [_stored(row) for row in self._execute(_PAGE, after, TASKS_AT_ONCE)]:
            yield page
            after = page[-1].task

    def index_paths(self) -> None:
        """Note the paths of all artifacts as they are now, for `known`."""
        try:
            self._db.executescript(_KNOW_PATHS)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    def known(self, paths: list[str]) -> set[str]:
        """Those of the paths that were artifacts when `index_paths` was called."""
        return {row["path"] for row in self._read(_KNOWN, rows.text(paths))}

    def reset(self, artifacts: Iterable[StoredArtifact]) -> None:
        """Forget damaged artifacts; those of their tasks that had succeeded become pending.

        The generation stays, and with it the idempotency key.
        """
        with self.changing() as db:
            for one in artifacts:
                db.execute(_FORGET, (one.task, one.generation, one.n))
                db.execute(_AGAIN, (one.task,))

    def _refuse_damaged(self) -> None:
        told = [str(row[0]) for row in self._read("PRAGMA quick_check(1)")]
        if told != ["ok"]:
            raise StorageError(
                f"the ledger {self.path} is damaged ({one_line(' '.join(told), 200)}): `batchgen"
                f" verify {self.path.parent.parent} --rebuild` makes a new one"
            )


def _stored(row: sqlite3.Row) -> StoredArtifact:
    return StoredArtifact(
        row["task"], row["id"], Status(row["status"]), row["generation"],
        row["generation"] == row["newest"], row["n"], row["path"], row["size_bytes"],
        row["sha256"],
    )  # fmt: skip
