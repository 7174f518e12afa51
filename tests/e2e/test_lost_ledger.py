"""A ledger that knows less than results.jsonl: nothing is paid again, and a rebuild recovers it."""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.command import batchgen, environment, results
from tests.e2e.counting import KEY, CountingProvider, counting, write_rows

ROWS = 12
RUN = ("rows.csv", "-o", "out", "--concurrency", "3")


def ledger_of(folder: Path) -> Path:
    return folder / "out" / ".batchgen" / "ledger.sqlite3"


def killed(provider: CountingProvider, folder: Path, free: int) -> None:
    """Kill a run whose first `free` requests were answered, while the others are in flight."""
    write_rows(folder, ROWS)
    process = subprocess.Popen(
        provider.command(*RUN), cwd=folder, env=environment(**KEY), stderr=subprocess.DEVNULL
    )
    provider.until_billed(free + 3)
    while len((folder / "out" / "results.jsonl").read_bytes().splitlines()) < free:
        assert process.poll() is None
    process.kill()
    process.wait(60)
    provider.release()


def restore(ledger: Path, copy: Path) -> None:
    """Put a copy of a ledger back."""
    for path in ledger.parent.glob("ledger.sqlite3*"):
        path.unlink()
    shutil.copy(copy, ledger)


def copied(folder: Path) -> Path:
    """Return a copy of the ledger with all that it has."""
    copy = folder / "copy.sqlite3"
    with closing(sqlite3.connect(ledger_of(folder))) as db:
        db.execute("VACUUM INTO ?", (str(copy),))
    return copy


def is_refused_and_recovers(provider: CountingProvider, folder: Path, *, known: bool) -> None:
    """Check that a run is refused, that a rebuild recovers, and that the next run finishes.

    known: whether the ledger can be read.
    """
    before = provider.requests
    lines = (folder / "out" / "results.jsonl").read_bytes()
    files = sorted(path.name for path in (folder / "out").glob("*.png"))

    for words in ("--retry-failed", "--no-check", "--limit=1"):
        ended = provider.run(*RUN, words, cwd=folder)
        assert (ended.code, "verify out --rebuild" in ended.err) == (4, True), ended.err
    fixed = batchgen("verify", "out", "--fix", cwd=folder)
    assert (fixed.code, "--rebuild" in fixed.err) == (4, True)
    assert provider.requests == before
    assert (folder / "out" / "results.jsonl").read_bytes() == lines

    rebuilt = batchgen("verify", "out", "--rebuild", cwd=folder)
    assert rebuilt.code in (0, 1), rebuilt.err
    assert ("knew more than the ledger" in rebuilt.err) == known
    if known:
        assert list(ledger_of(folder).parent.glob("ledger.sqlite3.damaged-*"))
    assert provider.run(*RUN, cwd=folder).code == 0
    assert [line["status"] for line in results(folder / "out")] == ["succeeded"] * ROWS
    assert set(files) <= {path.name for path in (folder / "out").glob("*.png")}
    again = provider.requests
    assert provider.run(*RUN, cwd=folder).code == 0
    assert provider.requests == again


@pytest.mark.parametrize("others", [(), ("-shm",)], ids=["log", "log and index"])
def test_a_deleted_write_ahead_log_is_noticed(tmp_path: Path, others: tuple[str, ...]) -> None:
    with counting(6) as provider:
        killed(provider, tmp_path, 6)
        in_flight = {prompt for prompt in provider.billed if provider.billed[prompt]} - {
            line["prompt"] for line in results(tmp_path / "out")
        }
        for suffix in ("-wal", *others):
            Path(f"{ledger_of(tmp_path)}{suffix}").unlink()
        is_refused_and_recovers(provider, tmp_path, known=True)
        assert set(provider.twice) <= in_flight


def older_copy(folder: Path, _: Path) -> None:
    restore(ledger_of(folder), folder / "copy.sqlite3")


def empty_ledger(folder: Path, empty: Path) -> None:
    restore(ledger_of(folder), empty)


def no_ledger(folder: Path, _: Path) -> None:
    ledger_of(folder).unlink()


def no_private_folder(folder: Path, _: Path) -> None:
    shutil.rmtree(ledger_of(folder).parent)


def no_bytes(folder: Path, _: Path) -> None:
    ledger_of(folder).write_bytes(b"")


@pytest.mark.parametrize(
    ("lose", "known"),
    [
        (older_copy, True),
        (empty_ledger, True),
        (no_ledger, False),
        (no_private_folder, False),
        (no_bytes, False),
    ],
)
def test_a_ledger_that_lacks_results_is_noticed(
    tmp_path: Path,
    lose: Callable[[Path, Path], None],
    known: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    write_rows(tmp_path, ROWS)
    with counting() as provider:
        assert provider.run(*RUN, "--limit", "4", cwd=tmp_path).code == 0
        copied(tmp_path)
        assert provider.run(*RUN, cwd=tmp_path).code == 0
        empty = tmp_path / "empty.sqlite3"
        with closing(sqlite3.connect(copied_schema(tmp_path))) as db:
            db.execute("VACUUM INTO ?", (str(empty),))
        lose(tmp_path, empty)
        is_refused_and_recovers(provider, tmp_path, known=known)
        assert (provider.requests, provider.twice) == (ROWS, [])


def copied_schema(folder: Path) -> Path:
    """Return a valid ledger without tasks."""
    path = folder / "schema.sqlite3"
    shutil.copy(folder / "copy.sqlite3", path)
    with closing(sqlite3.connect(path)) as db:
        db.executescript("DELETE FROM artifacts; DELETE FROM tasks; DELETE FROM meta;")
    return path


def test_a_later_version_that_the_ledger_lacks_is_noticed(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    with counting() as provider:
        assert provider.run(*RUN, cwd=tmp_path).code == 0
        copied(tmp_path)
        rows = (tmp_path / "rows.csv").read_text()
        (tmp_path / "rows.csv").write_text(rows.replace("prompt 3", "another 3"))
        assert provider.run(*RUN, cwd=tmp_path).code == 0
        older_copy(tmp_path, tmp_path)
        is_refused_and_recovers(provider, tmp_path, known=True)
        assert (provider.requests, provider.twice) == (ROWS + 1, [])
    third = next(line for line in results(tmp_path / "out") if line["id"] == "t3")
    assert [artifact["path"] for artifact in third["artifacts"]] == ["t3-1.v2.png"]
    assert batchgen("verify", "out", cwd=tmp_path).code == 0


@pytest.mark.parametrize("tail", [b"", b'{"schema":1,"id":"t', b"not JSON\n"])
def test_an_ordinary_crash_is_never_refused(tmp_path: Path, tail: bytes) -> None:
    with counting(6) as provider:
        killed(provider, tmp_path, 6)
        path = tmp_path / "out" / "results.jsonl"
        path.write_bytes(path.read_bytes() + tail)
        assert provider.run(*RUN, cwd=tmp_path).code == 0


def test_results_that_are_behind_the_ledger_are_not_refused(tmp_path: Path) -> None:
    with counting(6) as provider:
        killed(provider, tmp_path, 6)
        path = tmp_path / "out" / "results.jsonl"
        path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:3]))
        assert provider.run(*RUN, cwd=tmp_path).code == 0


def test_edited_removed_and_moved_rows_are_not_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    with counting() as provider:
        assert provider.run(*RUN, cwd=tmp_path).code == 0
        head, *rows = (tmp_path / "rows.csv").read_text().splitlines(keepends=True)
        rows[1] = rows[1].replace("prompt", "edited")
        (tmp_path / "rows.csv").write_text(head + "".join(reversed(rows[:-2])))
        for shard in ("1/2", "2/2", "1/1"):
            assert provider.run(*RUN, "--shard", shard, cwd=tmp_path).code == 0
        (tmp_path / "rows.csv").write_text(head + "".join(rows))
        assert provider.run(*RUN, cwd=tmp_path).code == 0
        assert (provider.requests, provider.twice) == (ROWS + 1, [])


def test_the_ledger_file_alone_has_most_results_after_a_crash(tmp_path: Path) -> None:
    with counting(6) as provider:
        killed(provider, tmp_path, 6)
    shutil.copy(ledger_of(tmp_path), tmp_path / "alone.sqlite3")
    with closing(sqlite3.connect(tmp_path / "alone.sqlite3")) as db:
        assert db.execute("SELECT count(*) FROM tasks").fetchone()[0] > 0


def test_a_merge_of_a_ledger_that_lacks_results_is_refused(tmp_path: Path) -> None:
    write_rows(tmp_path, ROWS)
    with counting() as provider:
        assert provider.run(*RUN, "--limit", "4", cwd=tmp_path).code == 0
        copied(tmp_path)
        assert provider.run(*RUN, cwd=tmp_path).code == 0
    older_copy(tmp_path, tmp_path)
    ended = batchgen("merge", "new", "out", cwd=tmp_path)
    assert (ended.code, "verify out --rebuild" in ended.err) == (4, True)
