"""Group commit: writes that wait for the ledger share one transaction, on a separate thread."""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import zip_longest
from typing import TypeAlias

from batchgen.errors import StorageError
from batchgen.storage.group_commit import GroupCommit
from batchgen.storage.ledger.connection import transaction

Statement: TypeAlias = tuple[str, Sequence[object]]
_Write: TypeAlias = tuple[Statement, ...]

_CHECKPOINT_INTERVAL_S = 2.0
_MAX_GROUP = 512  # writes in a transaction; bounds how long the first of them waits


class Writer:
    """Commits statements on a separate thread; after a failed commit, all that follow fail too.

    db: a connection in autocommit mode that is used for nothing else; closed with the writer.
    path: of the ledger, for messages. monotonic: a clock in seconds.
    """

    def __init__(
        self,
        db: sqlite3.Connection,
        path: str,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._db = db
        self._path = path
        self._monotonic = monotonic
        self._checkpoint_due_s = 0.0
        self._broken: Exception | None = None
        self._commits = GroupCommit(self._commit, name="ledger", max_group=_MAX_GROUP)

    async def write(self, statements: Iterable[Statement]) -> None:
        """Execute statements and return after COMMIT.

        Raises StorageError if SQLite refuses. Any other error is a bug, such as a value of a type
        that SQLite does not support, and is raised unchanged.
        """
        await self._commits.submit(tuple(statements))

    def close(self) -> None:
        """Commit the writes that wait, end the thread and close the connection."""
        self._commits.close()
        self._db.close()

    def _commit(self, writes: Sequence[_Write]) -> Sequence[Exception | None]:
        if self._broken is None:
            try:
                self._execute(writes)
            except sqlite3.Error as error:
                self._broken = StorageError(
                    f"the ledger {self._path} cannot be written ({error}): free space or fix the"
                    " permissions, then run the same command again to continue"
                )
            except Exception as error:  # noqa: BLE001  # no commit may follow a failed one
                self._broken = error
        return [self._broken] * len(writes)

    def _execute(self, writes: Sequence[_Write]) -> None:
        with transaction(self._db):
            for sql, rows in _batched(writes):
                self._db.executemany(sql, rows)
        if self._monotonic() >= self._checkpoint_due_s:
            self._checkpoint()

    def _checkpoint(self) -> None:
        """Copy what is in the write-ahead log to the ledger file, which may be copied alone.

        A failure loses nothing: SQLite goes on with the log.
        """
        with suppress(sqlite3.OperationalError):
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self._checkpoint_due_s = self._monotonic() + _CHECKPOINT_INTERVAL_S


def _batched(writes: Sequence[_Write]) -> Iterator[tuple[str, list[Sequence[object]]]]:
    """Yield each SQL statement with the rows of all writes; a write's own order is kept.

    This is safe because writes of different tasks do not depend on each other, and no task has two
    writes in one group.
    """
    for nth in zip_longest(*writes):
        rows: dict[str, list[Sequence[object]]] = {}
        for statement in nth:
            if statement is not None:
                rows.setdefault(statement[0], []).append(statement[1])
        yield from rows.items()
