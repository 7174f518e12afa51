"""Opening ledgers of old and newer versions, damaged ledgers, and other files."""

import os
import resource
import sqlite3
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import pytest

from batchgen.errors import StorageError
from batchgen.storage.ledger import Ledger, connection, schema
from tests.given import a_ledger, a_task

# A ledger of version 1 as it was released, with one task in it; never edited, only added to.
VERSION_1 = Path(__file__).with_name("version_1.sql").read_text()


def write(path: Path, script: str) -> Path:
    db = sqlite3.connect(path, isolation_level=None)
    db.executescript(script)
    db.close()
    return path


def version(path: Path) -> int:
    db = sqlite3.connect(path)
    (number,) = db.execute("PRAGMA user_version").fetchone()
    db.close()
    return int(number)


def test_a_file_of_version_1_is_upgraded_and_keeps_its_tasks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "ledger.sqlite3", VERSION_1)
    later = (*schema.MIGRATIONS, "ALTER TABLE tasks ADD COLUMN inference_id TEXT;")
    monkeypatch.setattr(schema, "MIGRATIONS", later)

    with Ledger(path) as ledger:
        (record,) = ledger.records()
        assert (record.task.id, record.task.prompt) == ("fox", "A fox")
        assert (record.outcome.at_risk_usd, ledger.at_risk_usd()) == (0.0, 0.0)
    assert version(path) == len(later)
    with Ledger(path) as again:
        assert not again.is_empty()


def test_a_migration_that_fails_leaves_the_file_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "ledger.sqlite3", VERSION_1)
    broken = "ALTER TABLE tasks ADD COLUMN inference_id TEXT; ALTER TABLE nothing ADD COLUMN x;"
    monkeypatch.setattr(schema, "MIGRATIONS", (*schema.MIGRATIONS, broken))
    with pytest.raises(StorageError, match="nothing"):
        Ledger(path)
    monkeypatch.undo()

    assert version(path) == len(schema.MIGRATIONS)  # those before it are committed
    with Ledger(path) as ledger:
        assert len(list(ledger.records())) == 1


def test_a_migration_that_another_process_did_first_is_not_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.sqlite3", VERSION_1)
    db = sqlite3.connect(path, isolation_level=None)

    schema._apply(db, 1, schema._FIRST)

    assert not db.in_transaction
    db.close()


def test_a_ledger_of_a_newer_batchgen_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.sqlite3", VERSION_1 + "PRAGMA user_version = 99;")
    with pytest.raises(StorageError, match=r"newer batchgen .*version 99.*upgrade batchgen"):
        Ledger(path)
    assert version(path) == 99


def test_a_foreign_database_is_left_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.sqlite3", "CREATE TABLE mine (x);")
    before = path.read_bytes()
    with pytest.raises(StorageError, match="is not a batchgen ledger"):
        Ledger(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("content", [b"id,prompt\nfox,A fox\n" * 50, b"\0" * 9000])
def test_a_file_that_is_not_a_database_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.sqlite3"
    path.write_bytes(content)
    with pytest.raises(StorageError, match=r"not a database.*--rebuild"):
        Ledger(path)
    assert path.read_bytes() == content


async def test_a_truncated_ledger_is_an_error_when_it_is_read(tmp_path: Path) -> None:
    with a_ledger(tmp_path) as ledger:
        await ledger.record_pending(a_task(ordinal) for ordinal in range(3000))
    size = ledger.path.stat().st_size
    with ledger.path.open("rb+") as file:
        file.truncate(size // 2 // 4096 * 4096)

    with pytest.raises(StorageError, match="malformed"), Ledger(ledger.path) as damaged:
        list(damaged.records())


@pytest.mark.parametrize("left", [b"", b"SQLite format 3\0"])
def test_an_empty_ledger_beside_results_is_not_treated_as_new(left: bytes, tmp_path: Path) -> None:
    with a_ledger(tmp_path) as ledger:
        pass
    ledger.path.write_bytes(left)
    (tmp_path / "results.jsonl").write_text("{}\n")
    with pytest.raises(StorageError, match=r"missing or empty, but .*results\.jsonl is not"):
        Ledger(ledger.path)


def test_reading_does_not_create_a_ledger(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="is not an output directory"):
        Ledger(tmp_path / "out" / ".batchgen" / "ledger.sqlite3", create=False)


def test_a_folder_in_the_place_of_the_ledger_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").mkdir()
    with pytest.raises(StorageError, match="unable to open"):
        Ledger(tmp_path / "ledger.sqlite3")


def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every file system look read-only, because tests cannot mount one."""
    status = os.statvfs("/")
    names = [name for name in dir(status) if name.startswith("f_")]
    changed = {name: getattr(status, name) for name in names} | {"f_flag": os.ST_RDONLY}
    monkeypatch.setattr(os, "statvfs", lambda _: SimpleNamespace(**changed))


async def test_a_closed_ledger_on_a_read_only_file_system_can_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with a_ledger(tmp_path) as ledger:
        await ledger.record_pending([a_task()])
        path = ledger.path
    read_only(monkeypatch)
    monkeypatch.setattr(connection, "_open", mock.Mock(side_effect=sqlite3.OperationalError))
    with Ledger(path) as ledger:
        assert [record.task.id for record in ledger.records()] == [a_task().id]
        assert [file.name for file in path.parent.iterdir()] == [path.name]
        with pytest.raises(StorageError, match="readonly database"):
            ledger.set_meta("name", "value")


@pytest.mark.parametrize("left", [0, 1, 2])
def test_the_error_about_too_many_open_files_names_the_limit(left: int, tmp_path: Path) -> None:
    path = write(tmp_path / "ledger.sqlite3", "")
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with ExitStack() as cleanup:
        cleanup.callback(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        first = os.open(os.devnull, os.O_RDONLY)
        cleanup.callback(os.close, first)
        resource.setrlimit(resource.RLIMIT_NOFILE, (first + 20, limits[1]))
        handles = []
        with suppress(OSError):
            while True:
                handles.append(os.open(os.devnull, os.O_RDONLY))
        for handle in handles[:left]:
            os.close(handle)
        for handle in handles[left:]:
            cleanup.callback(os.close, handle)
        with pytest.raises(StorageError, match="ulimit -n"):
            Ledger(path)
