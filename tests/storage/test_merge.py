"""Merging the output directories of shards into one."""

import errno
import json
import os
import shutil
import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from batchgen.errors import Exit, StorageError, UsageError
from batchgen.storage.directory import ledger_path, locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.schema import MIGRATIONS
from batchgen.storage.merge import Merge, MergeCounts, write_results
from batchgen.storage.results import FILE_NAME
from batchgen.types import Outcome, Status, TaskError
from tests.e2e.command import batchgen, results
from tests.given import NOW, a_png, succeeded
from tests.outputs import (
    a_named_task,
    a_new_ledger,
    an_image,
    an_output,
    end_run,
    finding_lines,
    names,
    record_task,
    records,
    write_artifact,
)

FAILED = Outcome(Status.FAILED, error=TaskError("server", None, "no"), finished_at=NOW)
LATER = NOW + timedelta(hours=1)


def merge(out: Path, *directories: Path) -> tuple[MergeCounts, list[str]]:
    """Merge as the command does; return the counts and the reported lines."""
    (out / ".batchgen").mkdir(parents=True, exist_ok=True)
    lines: list[str] = []
    merge = Merge(out, lines.append)
    merge.take(directories)
    write_results(out, ("batchgen", "merge"), now=NOW, exit_code=Exit.OK)
    return merge.counts, lines


async def one_task(
    directory: Path, colour: int, *, ended: datetime | None = NOW, generation: int = 1
) -> Path:
    """Make a directory with a single task, whose image has this colour."""
    suffix = "" if generation == 1 else f".v{generation}"
    with a_new_ledger(directory, total=1) as ledger:
        data = a_png(pixel=bytes([colour]))
        outcome = succeeded(
            write_artifact(directory, f"fox-0-1{suffix}.png", data), finished_at=ended
        )
        await record_task(ledger, a_named_task(0), outcome, generation=generation)
        end_run(directory, ledger)
    return directory


def image(directory: Path) -> bytes:
    """Return the newest image of a directory's single task."""
    (record,) = records(directory)
    return (directory / record.outcome.artifacts[0].path).read_bytes()


async def test_shards_become_one_directory_in_manifest_order(tmp_path: Path) -> None:
    await an_output(tmp_path / "a", 1, 3)
    await an_output(tmp_path / "b", 0, 2, each=2)

    counts, lines = merge(tmp_path / "out", tmp_path / "a", tmp_path / "b")

    assert (counts.taken, counts.linked, counts.copied, lines) == (4, 6, 0, [])
    assert [record.task.ordinal for record in records(tmp_path / "out")] == [0, 1, 2, 3]
    assert [line["id"] for line in results(tmp_path / "out")] == [f"fox-{n}" for n in range(4)]
    assert finding_lines(tmp_path / "out") == []
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["tasks"]["succeeded"] == summary["tasks"]["total"] == 4
    assert (summary["artifacts"], summary["cost_usd"]) == (6, 0.08)


async def test_merging_again_changes_nothing(tmp_path: Path) -> None:
    await an_output(tmp_path / "a", 0)
    with a_new_ledger(tmp_path / "b") as ledger:
        await record_task(ledger, a_named_task(1), FAILED)
        await ledger.record_pending([a_named_task(2)])
        await ledger.record_sent(a_named_task(3), 1, attempts=1, now=NOW)
    merge(tmp_path / "out", tmp_path / "a", tmp_path / "b")
    before = records(tmp_path / "out"), names(tmp_path / "out")

    counts, lines = merge(tmp_path / "out", tmp_path / "a", tmp_path / "b")

    assert (counts, lines) == (MergeCounts(same=4), [])
    assert (records(tmp_path / "out"), names(tmp_path / "out")) == before
    statuses = [record.outcome.status for record in before[0]]
    assert statuses == ["succeeded", "failed", "pending", "unknown"]


async def test_a_second_merge_adds_what_a_shard_has_done_since(tmp_path: Path) -> None:
    with a_new_ledger(tmp_path / "a") as ledger:
        await record_task(ledger, a_named_task(0), FAILED)
        await ledger.record_pending([a_named_task(1)])
    merge(tmp_path / "out", tmp_path / "a")
    with a_new_ledger(tmp_path / "a") as ledger:
        retried = succeeded(an_image(tmp_path / "a", 0, suffix=".v2"), finished_at=LATER)
        await record_task(ledger, a_named_task(0), retried, generation=2)
        await record_task(ledger, a_named_task(1), succeeded(an_image(tmp_path / "a", 1)))

    merge(tmp_path / "out", tmp_path / "a")

    assert records(tmp_path / "out") == records(tmp_path / "a")
    assert finding_lines(tmp_path / "out") == []


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_the_newer_of_two_successes_wins(order: str, tmp_path: Path) -> None:
    await one_task(tmp_path / "a", 1)
    newer = await one_task(tmp_path / "b", 2, ended=LATER)

    _, lines = merge(tmp_path / "out", *(tmp_path / name for name in order))

    assert image(tmp_path / "out") == image(newer)
    assert len(lines) == 1 + (order == "ab")  # the newer one's name is taken
    assert lines[0].startswith("newer    fox-0" if order == "ab" else "older    fox-0")
    assert finding_lines(tmp_path / "out") == []


@pytest.mark.parametrize("order", ["ab", "ba"])
async def test_a_success_wins_over_a_later_failure(order: str, tmp_path: Path) -> None:
    good = await one_task(tmp_path / "a", 1)
    with a_new_ledger(tmp_path / "b") as ledger:
        failed = Outcome(Status.FAILED, error=FAILED.error, finished_at=LATER)
        await record_task(ledger, a_named_task(0), failed)

    merge(tmp_path / "out", *(tmp_path / name for name in order))

    assert image(tmp_path / "out") == image(good)
    assert finding_lines(tmp_path / "out") == []


async def test_a_merge_removes_nothing_that_was_merged_before(tmp_path: Path) -> None:
    older = await one_task(tmp_path / "a", 1)
    newer = await one_task(tmp_path / "b", 2, ended=LATER)
    merge(tmp_path / "out", older)
    merge(tmp_path / "out", newer)
    again, _ = merge(tmp_path / "out", newer)

    assert again == MergeCounts(same=1)
    assert names(tmp_path / "out") == {"fox-0-1.png", "fox-0-1~2.png", "summary.json"}
    assert (tmp_path / "out" / "fox-0-1.png").read_bytes() == image(older)
    assert image(tmp_path / "out") == image(newer)
    with Ledger(ledger_path(tmp_path / "out")) as ledger:
        assert ledger.spent_usd() == pytest.approx(0.04)


async def test_earlier_versions_are_merged_too(tmp_path: Path) -> None:
    await one_task(tmp_path / "a", 1)
    await one_task(tmp_path / "a", 2, ended=LATER, generation=2)

    merge(tmp_path / "out", tmp_path / "a")

    assert names(tmp_path / "out") == {"fox-0-1.png", "fox-0-1.v2.png", "summary.json"}
    assert finding_lines(tmp_path / "out") == []
    (tmp_path / "out" / "fox-0-1.png").unlink()
    assert finding_lines(tmp_path / "out") == ["missing  fox-0-1.png (task fox-0, version 1)"]


async def test_different_tasks_with_the_same_file_name_keep_one_file_each(tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        with a_new_ledger(tmp_path / name) as ledger:
            data = a_png(pixel=name.encode())
            outcome = succeeded(write_artifact(tmp_path / name, "pictures/1.png", data))
            await record_task(ledger, a_named_task(number), outcome)

    _, lines = merge(tmp_path / "out", tmp_path / "a", tmp_path / "b")

    paths = [record.outcome.artifacts[0].path for record in records(tmp_path / "out")]
    assert paths == ["pictures/1.png", "pictures/1~2.png"]
    assert lines == [f"renamed  pictures/1.png (of {tmp_path / 'b'}) to pictures/1~2.png"]
    assert finding_lines(tmp_path / "out") == []


async def test_a_foreign_file_is_left_alone_and_an_orphan_is_adopted(tmp_path: Path) -> None:
    await an_output(tmp_path / "a", 0, 1)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "fox-0-1.png").write_bytes(b"a foreign file")
    shutil.copyfile(tmp_path / "a" / "fox-1-1.png", tmp_path / "out" / "fox-1-1.png")

    counts, _ = merge(tmp_path / "out", tmp_path / "a")

    assert counts.linked == 1
    assert (tmp_path / "out" / "fox-0-1.png").read_bytes() == b"a foreign file"
    assert finding_lines(tmp_path / "out") == ["extra    fox-0-1.png"]
    assert "fox-1-1~2.png" not in names(tmp_path / "out")


async def test_files_are_copied_if_they_cannot_be_linked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_output(tmp_path / "a", 0, each=2)

    def another_disk(_source: Path, target: bytes, **_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link", target)

    monkeypatch.setattr(os, "link", another_disk)
    counts, _ = merge(tmp_path / "out", tmp_path / "a")

    assert (counts.linked, counts.copied) == (0, 2)
    assert finding_lines(tmp_path / "out") == []
    assert not list((tmp_path / "out" / ".batchgen").glob("*.part"))


async def test_a_full_disk_is_an_error_and_the_next_merge_continues(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_output(tmp_path / "a", 0, 1)
    link = os.link

    def full(source: Path, target: bytes, **options: Any) -> None:
        if target == b"fox-1-1.png":
            raise OSError(errno.ENOSPC, "No space left on device", target)
        link(source, target, **options)

    monkeypatch.setattr(os, "link", full)
    with pytest.raises(StorageError, match=r"fox-1-1\.png.*No space left.*merge again"):
        merge(tmp_path / "out", tmp_path / "a")
    monkeypatch.undo()

    counts, _ = merge(tmp_path / "out", tmp_path / "a")
    assert (counts.taken, counts.linked) == (2, 1)
    assert finding_lines(tmp_path / "out") == []


async def test_a_task_whose_file_is_missing_or_truncated_is_left_out(tmp_path: Path) -> None:
    await an_output(tmp_path / "a", 0, 1, 2)
    (tmp_path / "a" / "fox-0-1.png").unlink()
    (tmp_path / "a" / "fox-1-1.png").write_bytes(b"cut")

    counts, lines = merge(tmp_path / "out", tmp_path / "a")

    assert (counts.taken, counts.damaged) == (1, 2)
    assert lines[0] == f"damaged  fox-0-1.png (task fox-0 of {tmp_path / 'a'}): left out"
    assert [record.task.id for record in records(tmp_path / "out")] == ["fox-2"]


async def test_simulated_and_paid_results_are_not_mixed(tmp_path: Path) -> None:
    for name, kind in (("a", "simulated"), ("b", "real")):
        await an_output(tmp_path / name, 0)
        with Ledger(ledger_path(tmp_path / name)) as ledger:
            ledger.set_meta("provider_kind", kind)

    with pytest.raises(UsageError, match="b holds real results and the others simulated"):
        merge(tmp_path / "out", tmp_path / "a", tmp_path / "b")
    assert names(tmp_path / "out") == set()


async def test_every_column_of_a_ledger_is_merged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = "ALTER TABLE tasks ADD COLUMN colour TEXT; UPDATE tasks SET colour = 'red';"
    await an_output(tmp_path / "a", 0)
    monkeypatch.setattr("batchgen.storage.ledger.schema.MIGRATIONS", (*MIGRATIONS, more))

    merge(tmp_path / "out", tmp_path / "a")

    tables = []
    for name in ("a", "out"):
        with closing(sqlite3.connect(ledger_path(tmp_path / name))) as ledger:
            tables.append(ledger.execute("SELECT * FROM tasks").fetchall())
    assert tables[0] == tables[1]
    assert tables[0][0][-1] == "red"


# Through the installed command.


def _run(cwd: Path, out: str, *more: str) -> None:
    words = ("run", "m.csv", "--provider", "simulator", "--model", "dall-e-2")
    ended = batchgen(*words, "--set", "size=256x256", "-o", out, *more, cwd=cwd)
    assert ended.code == 0, ended.err


def _repeatable(directory: Path) -> list[Any]:
    """Return the columns that are the same in every run of a manifest."""
    columns = ("id", "key", "line", "prompt", "status", "artifacts")
    return [[line[name] for name in columns] for line in results(directory)]


def test_three_shards_merged_equal_one_whole_run(tmp_path: Path) -> None:
    rows = "".join(f"hare {number}\n" for number in range(20)) + "hare 1\nhare 1\n"
    (tmp_path / "m.csv").write_text(f"prompt\n{rows}")
    _run(tmp_path, "whole")
    for number in (1, 2, 3):
        _run(tmp_path, f"part-{number}", "--shard", f"{number}/3")

    ended = batchgen("merge", "all", "part-1", "part-2", "part-3", cwd=tmp_path)

    assert (ended.code, ended.out) == (0, ""), ended.err
    assert "22 tasks added from 3 directories" in ended.err
    assert _repeatable(tmp_path / "all") == _repeatable(tmp_path / "whole")
    assert batchgen("verify", "all", cwd=tmp_path).code == 0
    status = json.loads(batchgen("status", "all", "--json", cwd=tmp_path).out)
    assert (status["total"], status["succeeded"], status["pending"]) == (22, 22, 0)
    _run(tmp_path, "all")
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert (summary["run"]["requests"], summary["tasks"]["succeeded"]) == (0, 22)


async def test_every_directory_is_locked_during_a_merge(tmp_path: Path) -> None:
    await an_output(tmp_path / "a", 0)
    await an_output(tmp_path / "out", 1)
    for name in ("a", "out"):
        with locked(tmp_path / name):
            assert batchgen("merge", "out", "a", cwd=tmp_path).code == 75
    assert batchgen("merge", "out", "a", "a", "./a", cwd=tmp_path).code == 0


async def test_directories_that_cannot_be_merged_are_refused_before_anything_is_written(
    tmp_path: Path,
) -> None:
    await an_output(tmp_path / "a", 0)
    (tmp_path / "b").mkdir()
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / FILE_NAME).write_text("{}\n")
    for words, message in (
        (("out", "a", "b"), "b is not an output directory"),
        (("out", "nowhere"), "nowhere does not exist"),
        (("a", "a"), "into itself"),
        (("c", "a"), "no ledger"),
    ):
        ended = batchgen("merge", *words, cwd=tmp_path)
        assert (ended.code, ended.out) == (2, "")
        assert message in ended.err
    assert not (tmp_path / "out").exists()
    assert batchgen("merge", "out", "c", cwd=tmp_path).code == 4
