"""Group commit of the ledger: one thread commits the writes of many tasks; a failure fails all."""

import asyncio
import sqlite3
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import StorageError
from batchgen.storage.ledger.writer import Writer
from tests.given import run_pending

INSERT = "INSERT INTO things (name) VALUES (?)"
RENAME = "UPDATE things SET name = ? WHERE name = ?"


class Tracing(sqlite3.Connection):
    """A connection that can be paused, and made to fail at a statement."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, isolation_level=None, check_same_thread=False)
        self.running = threading.Event()
        self.running.set()
        self.statements: list[str] = []
        self.fail_at = ""

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        self._trace(sql)
        return super().execute(sql, parameters)  # type: ignore[arg-type]  # passed on

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        self._trace(sql)
        return super().executemany(sql, parameters)

    def _trace(self, sql: str) -> None:
        self.running.wait()
        self.statements.append(sql)
        if sql == self.fail_at:
            raise sqlite3.OperationalError("database or disk is full")


@pytest.fixture
def db(tmp_path: Path) -> Iterator[Tracing]:
    db = Tracing(tmp_path / "db.sqlite3")
    db.execute("PRAGMA journal_mode = WAL")
    db.execute("CREATE TABLE things (name TEXT UNIQUE)")
    db.statements.clear()
    yield db
    db.running.set()
    db.close()


@pytest.fixture
def writer(db: Tracing) -> Iterator[Writer]:
    writer = Writer(db, "the-ledger")
    yield writer
    db.running.set()
    writer.close()


def committed(tmp_path: Path) -> int:
    with sqlite3.connect(tmp_path / "db.sqlite3") as other:
        (count,) = other.execute("SELECT count(*) FROM things").fetchone()
    other.close()
    return int(count)


async def test_a_write_returns_only_after_it_is_committed(writer: Writer, tmp_path: Path) -> None:
    async def write(number: int) -> bool:
        await writer.write([(INSERT, (f"{number}",))])
        with sqlite3.connect(tmp_path / "db.sqlite3") as other:
            row = other.execute("SELECT 1 FROM things WHERE name = ?", (f"{number}",)).fetchone()
        other.close()
        return row is not None

    assert all(await asyncio.gather(*(write(number) for number in range(100))))


async def test_waiting_writes_share_one_commit(writer: Writer, db: Tracing, tmp_path: Path) -> None:
    db.running.clear()
    writes = [asyncio.create_task(writer.write([(INSERT, (f"{n}",))])) for n in range(200)]
    await run_pending()
    db.running.set()
    await asyncio.gather(*writes)

    assert committed(tmp_path) == 200
    assert db.statements.count("COMMIT") <= 2  # the first may have been alone


async def test_the_statements_of_a_write_are_executed_in_order(
    writer: Writer, db: Tracing, tmp_path: Path
) -> None:
    db.running.clear()
    writes = [
        writer.write([(RENAME, ("late", f"{n}")), (INSERT, (f"{n}",)), (RENAME, (f"{n}!", f"{n}"))])
        if n % 2
        else writer.write([(INSERT, (f"{n}",)), (RENAME, (f"{n}!", f"{n}"))])
        for n in range(20)
    ]
    waiting = [asyncio.create_task(write) for write in writes]
    await run_pending()
    db.running.set()
    await asyncio.gather(*waiting)

    with sqlite3.connect(tmp_path / "db.sqlite3") as other:
        names = {name for (name,) in other.execute("SELECT name FROM things")}
    other.close()
    assert names == {f"{n}!" for n in range(20)}


@pytest.mark.parametrize("fail_at", ["BEGIN IMMEDIATE", INSERT, "COMMIT"])
async def test_a_failed_commit_fails_all_waiting_writes_and_all_later_ones(
    writer: Writer, db: Tracing, tmp_path: Path, fail_at: str
) -> None:
    await writer.write([(INSERT, ("before",))])
    db.fail_at = fail_at
    errors = await asyncio.gather(
        *(writer.write([(INSERT, (f"{n}",))]) for n in range(64)), return_exceptions=True
    )
    db.fail_at = ""
    with pytest.raises(StorageError, match="free space or fix the permissions"):
        await writer.write([(INSERT, ("after",))])

    assert not db.in_transaction
    assert all(isinstance(error, StorageError) for error in errors)
    assert "the-ledger cannot be written (database or disk is full)" in str(errors[0])
    assert committed(tmp_path) == 1


async def test_the_statements_of_a_write_are_committed_together_or_not_at_all(
    writer: Writer, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match="UNIQUE"):
        await writer.write([(INSERT, ("one",)), (INSERT, ("one",))])
    assert committed(tmp_path) == 0


@pytest.mark.parametrize("value", ["\ud800", 2**70, object()])
async def test_a_value_that_sqlite_does_not_support_is_raised_and_does_not_hang(
    writer: Writer, value: object
) -> None:
    with pytest.raises((UnicodeEncodeError, OverflowError, StorageError)):
        await writer.write([(INSERT, (value,))])


async def test_a_write_is_committed_even_if_its_caller_was_cancelled(
    writer: Writer, db: Tracing, tmp_path: Path
) -> None:
    db.running.clear()
    waiting = asyncio.create_task(writer.write([(INSERT, ("cancelled",))]))
    await run_pending()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    db.running.set()
    await writer.write([(INSERT, ("after",))])

    assert committed(tmp_path) == 2


def test_writes_of_a_closed_event_loop_are_committed_on_close(db: Tracing, tmp_path: Path) -> None:
    writer = Writer(db, "the-ledger")

    async def begin_and_leave() -> None:
        db.running.clear()
        for number in range(1000):  # more than one transaction takes
            task = asyncio.create_task(writer.write([(INSERT, (f"{number}",))]))
            asyncio.get_running_loop().call_soon(task.cancel)
        await asyncio.sleep(0)

    asyncio.run(begin_and_leave())
    db.running.set()
    writer.close()

    assert committed(tmp_path) == 1000


async def test_closing_commits_the_waiting_writes(db: Tracing, tmp_path: Path) -> None:
    writer = Writer(db, "the-ledger")
    writes = [asyncio.create_task(writer.write([(INSERT, (f"{n}",))])) for n in range(30)]
    await run_pending()
    writer.close()
    await asyncio.gather(*writes)

    assert committed(tmp_path) == 30
