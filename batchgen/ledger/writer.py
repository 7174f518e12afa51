"""Group commit: one thread takes all that waits, commits once, then wakes the waiters."""

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import TypeAlias

from batchgen.errors import StorageError

Statement: TypeAlias = tuple[str, Sequence[object]]

_MOST_AT_ONCE = 512  # writes in one transaction: bounds how long the first of them waits


class Writer:
    """Commits statements on a thread of its own; a failed commit fails all that follow.

    What SQLite refuses is a StorageError; anything else, such as a value that no column takes, is
    a bug and comes out of `write` as it is.

    db: a connection in autocommit mode that nobody else writes through; closed with the writer.
    """

    def __init__(self, db: sqlite3.Connection, path: str) -> None:
        self._db = db
        self._path = path
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._broken: Exception | None = None
        self._thread = threading.Thread(target=self._work, name="ledger", daemon=True)
        self._thread.start()

    async def write(self, statements: Iterable[Statement]) -> None:
        """Return after COMMIT. Raises StorageError when the ledger cannot be written."""
        waiter = _Write(tuple(statements), asyncio.get_running_loop())
        self._queue.put(waiter)
        await waiter.future

    def close(self) -> None:
        """Commit what waits, end the thread and close the connection."""
        self._queue.put(None)
        self._thread.join()
        self._db.close()

    def _work(self) -> None:
        going_on = True
        while going_on:
            batch = self._take()
            if batch[-1] is None:
                going_on = False
            writes = [write for write in batch if write is not None]
            if writes:
                self._commit(writes)

    def _take(self) -> "list[_Write | None]":
        batch = [self._queue.get()]
        while batch[-1] is not None and len(batch) < _MOST_AT_ONCE:
            try:
                batch.append(self._queue.get_nowait())
            except queue.Empty:
                break
        return batch

    def _commit(self, writes: "list[_Write]") -> None:
        if self._broken is None:
            try:
                self._execute(writes)
            except sqlite3.Error as error:
                self._broken = StorageError(
                    f"the ledger {self._path} cannot be written ({error}): free space or mend the"
                    " permissions, then run the same command again to go on"
                )
            except Exception as error:  # noqa: BLE001  # a dead thread would leave all waiting
                self._broken = error
        for loop in {write.loop for write in writes}:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any longer
                loop.call_soon_threadsafe(
                    _wake, [w for w in writes if w.loop is loop], self._broken
                )

    def _execute(self, writes: "list[_Write]") -> None:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            for write in writes:
                for sql, values in write.statements:
                    self._db.execute(sql, values)
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise


class _Write:
    __slots__ = ("future", "loop", "statements")

    def __init__(self, statements: tuple[Statement, ...], loop: asyncio.AbstractEventLoop) -> None:
        self.statements = statements
        self.loop = loop
        self.future: asyncio.Future[None] = loop.create_future()


def _wake(writes: Sequence[_Write], error: Exception | None) -> None:
    for write in writes:
        if write.future.done():  # its task was cancelled; the write stands all the same
            continue
        if error is None:
            write.future.set_result(None)
        else:
            write.future.set_exception(error)
