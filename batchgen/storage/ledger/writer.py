"""Group commit: what waits on the ledger is committed once, on a thread of its own."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from itertools import zip_longest
from typing import TypeAlias

from batchgen.errors import StorageError
from batchgen.storage.group_commit import GroupCommit
from batchgen.storage.ledger.connection import transaction

Statement: TypeAlias = tuple[str, Sequence[object]]
_Write: TypeAlias = tuple[Statement, ...]

_MAX_GROUP = 512  # writes in one transaction: bounds how long the first of them waits


class Writer:
    """Commits statements on a thread of its own; a failed commit fails all that follow.

    What SQLite refuses is a StorageError; anything else, such as a value that no column takes, is
    a bug and comes out of `write` as it is.

    db: a connection in autocommit mode that nobody else writes through; closed with the writer.
    """

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._path = path
        self._broken: Exception | None = None
        self._commits = GroupCommit(self._commit, name="ledger", max_group=_MAX_GROUP)

    async def write(self, statements: Iterable[Statement]) -> None:
        """Return after COMMIT. Raises StorageError when the ledger cannot be written."""
        await self._commits.submit(tuple(statements))

    def close(self) -> None:
        """Commit what waits, end the thread and close the connection."""
        self._commits.close()
        self._db.close()

    def _commit(self, writes: Sequence[_Write]) -> Sequence[Exception | None]:
        if self._broken is None:
            try:
                self._execute(writes)
            except sqlite3.Error as error:
                self._broken = StorageError(
                    f"the ledger {self._path} cannot be written ({error}): free space or mend the"
                    " permissions, then run the same command again to go on"
                )
            except Exception as error:  # noqa: BLE001  # no commit may follow one that failed
                self._broken = error
        return [self._broken] * len(writes)

    def _execute(self, writes: Sequence[_Write]) -> None:
        with transaction(self._db):
            for sql, rows in _together(writes):
                self._db.executemany(sql, rows)


def _together(writes: Sequence[_Write]) -> Iterator[tuple[str, list[Sequence[object]]]]:
    """The statements of all writes, equal ones as one; those of one write stay in their order.

    Nothing that writes of different tasks do depends on their order, and no task has two at once.
    """
    for nth in zip_longest(*writes):
        rows: dict[str, list[Sequence[object]]] = {}
        for statement in nth:
            if statement is not None:
                rows.setdefault(statement[0], []).append(statement[1])
        yield from rows.items()
