"""A ledger made anew from results.jsonl and the files."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from batchgen.engine.outcomes import idempotency_key
from batchgen.engine.worklist.selection import Selection
from batchgen.errors import StorageError
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.identity import identity_of
from batchgen.storage.rebuild import rebuild
from batchgen.storage.results import FILE_NAME
from batchgen.types import Outcome, Status, TaskError
from tests.e2e.command import batchgen, results
from tests.e2e.simulated import simulate, stats
from tests.given import NOW, succeeded
from tests.outputs import (
    a_named_task,
    a_new_ledger,
    a_picture,
    an_output,
    carry,
    close,
    found,
    names,
    records,
)

KEY: dict[str, Any] = {"AIMLAPI_API_KEY": "sk-canary-7731"}
RUN = ("run", "m.csv", "--model", "dall-e-2", "--set", "size=256x256", "-o", "out")


def lose(directory: Path) -> None:
    """Take the ledger away, as a disk might."""
    for part in ("", "-wal", "-shm"):
        Path(f"{ledger_path(directory)}{part}").unlink(missing_ok=True)


def damage(directory: Path) -> None:
    """Overwrite a page of the ledger."""
    with ledger_path(directory).open("rb+") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)


def empty(directory: Path) -> None:
    ledger_path(directory).write_bytes(b"")


def append(directory: Path, *lines: str) -> None:
    with (directory / FILE_NAME).open("a") as file:
        file.write("".join(f"{line}\n" for line in lines))


async def test_a_rebuilt_ledger_tells_what_the_results_told(tmp_path: Path) -> None:
    failed = Outcome(
        Status.FAILED,
        error=TaskError("invalid_request", "bad_size", "no such size"),
        attempts=3,
        http_status=400,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=2),
        duration_s=2.0,
    )
    with a_new_ledger(tmp_path, total=3) as ledger:
        pictures = (a_picture(tmp_path, 0, 1), a_picture(tmp_path, 0, 2))
        await carry(ledger, a_named_task(0), succeeded(*pictures))
        await carry(ledger, a_named_task(1), failed)
        await ledger.leave_pending([a_named_task(2)])
        close(tmp_path, ledger)
    before = (tmp_path / FILE_NAME).read_bytes()
    digests = [record.task.digest for record in records(tmp_path)]
    lose(tmp_path)

    rebuilt = rebuild(tmp_path, now=NOW)

    assert (rebuilt.tasks, rebuilt.skipped, rebuilt.aside) == (3, 0, None)
    assert found(tmp_path) == []
    with Ledger(ledger_path(tmp_path)) as ledger:
        assert [record.task.digest for record in ledger.records()] == digests
        run = ledger.last_run()
        close(tmp_path, ledger)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert run is not None
    assert (run.total, run.reason) == (3, "rebuilt")


async def test_what_succeeded_is_not_made_again_after_rebuilding(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    lose(tmp_path)
    rebuild(tmp_path, now=NOW)

    tasks = [a_named_task(number) for number in range(3)]
    with Ledger(ledger_path(tmp_path)) as ledger:
        priors = ledger.priors([task.key for task in tasks])
    assert [Selection().decide(task, priors[task.key]) for task in tasks] == [None] * 3


async def test_idempotency_keys_outlive_the_ledger(tmp_path: Path) -> None:
    with a_new_ledger(tmp_path, total=1) as ledger:
        before = idempotency_key(identity_of(ledger), a_named_task(0), 1)
        await ledger.sent(a_named_task(0), 1, attempts=1, now=NOW)
        close(tmp_path, ledger)
    lose(tmp_path)

    assert rebuild(tmp_path, now=NOW).identity

    (record,) = records(tmp_path)
    with Ledger(ledger_path(tmp_path)) as ledger:
        assert idempotency_key(identity_of(ledger), record.task, 1) == before
    assert record.outcome.status is Status.UNKNOWN


async def test_what_a_damaged_ledger_still_tells_of_the_job_is_kept(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    with Ledger(ledger_path(tmp_path)) as ledger:
        ledger.set_meta("provider_kind", "simulated")
        identity = identity_of(ledger)
    (tmp_path / ".batchgen" / "identity").unlink()

    rebuild(tmp_path, now=NOW)

    with Ledger(ledger_path(tmp_path)) as ledger:
        assert ledger.meta("provider_kind") == "simulated"
        assert identity_of(ledger) == identity
    assert (tmp_path / ".batchgen" / "identity").read_text() == f"{identity}\n"


async def test_the_old_ledger_is_kept_each_time(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    first = ledger_path(tmp_path).read_bytes()

    asides = [rebuild(tmp_path, now=NOW).aside for _ in range(2)]

    private = tmp_path / ".batchgen"
    assert asides == [
        private / "ledger.sqlite3.damaged-20261120T120000Z",
        private / "ledger.sqlite3.damaged-20261120T120000Z~2",
    ]
    assert (private / "ledger.sqlite3.damaged-20261120T120000Z").read_bytes() == first


async def test_a_task_that_is_told_twice_is_as_the_later_line_has_it(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, each=2)
    lines = (tmp_path / FILE_NAME).read_text().splitlines()
    earlier = {**json.loads(lines[0]), "status": "failed"}
    later = json.loads(lines[0])
    later["artifacts"] = later["artifacts"][:1]
    (tmp_path / FILE_NAME).write_text("")
    append(tmp_path, json.dumps(earlier), lines[1], json.dumps(later))

    assert rebuild(tmp_path, now=NOW).tasks == 2

    first, second = records(tmp_path)
    assert (first.task.id, second.task.id) == ("fox-0", "fox-1")
    assert first.outcome.status is Status.SUCCEEDED
    assert [one.path for one in first.outcome.artifacts] == ["fox-0-1.png"]


async def test_a_version_keeps_its_number(tmp_path: Path) -> None:
    with a_new_ledger(tmp_path, total=1) as ledger:
        picture = a_picture(tmp_path, 0, suffix=".v3")
        await carry(ledger, a_named_task(0), succeeded(picture), generation=3)
        close(tmp_path, ledger)
    lose(tmp_path)
    rebuild(tmp_path, now=NOW)

    key = a_named_task(0).key
    with Ledger(ledger_path(tmp_path)) as ledger:
        assert ledger.priors([key])[key].generation == 3
        assert [record.outcome.artifacts for record in ledger.records()] == [(picture,)]


@pytest.mark.parametrize(
    "line",
    [
        "",
        '{"schema":1,"id":"fox',
        "[]",
        "null",
        '{"hello": "world"}',
        "\x00",
        '{"schema":2}',
        "[" * 5000,
    ],
)
async def test_a_line_that_tells_no_task_is_told_and_skipped(line: str, tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1)
    append(tmp_path, line)
    lose(tmp_path)

    rebuilt = rebuild(tmp_path, now=NOW)

    assert (rebuilt.tasks, rebuilt.lines, rebuilt.skipped) == (2, 3, 1)
    (problem,) = rebuilt.problems
    assert (problem.file, problem.line) == (str(tmp_path / FILE_NAME), 3)


@pytest.mark.parametrize("path", ["../fox.png", "/etc/passwd", ".batchgen/lock"])
async def test_a_line_whose_artifact_leaves_the_directory_is_skipped(
    path: str, tmp_path: Path
) -> None:
    await an_output(tmp_path, 0)
    text = (tmp_path / FILE_NAME).read_text()
    (tmp_path / FILE_NAME).write_text(text.replace("fox-0-1.png", path))

    rebuilt = rebuild(tmp_path, now=NOW)

    assert (rebuilt.tasks, rebuilt.skipped) == (0, 1)
    assert "leaves the output directory" in rebuilt.problems[0].message


async def test_without_results_nothing_is_touched(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    (tmp_path / FILE_NAME).unlink()
    before = ledger_path(tmp_path).read_bytes()

    with pytest.raises(StorageError, match=r"results\.jsonl.*still there"):
        rebuild(tmp_path, now=NOW)
    assert ledger_path(tmp_path).read_bytes() == before


async def test_what_a_rebuilding_that_broke_off_left_is_no_obstacle(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    lose(tmp_path)
    ledger_path(tmp_path).with_name("ledger.sqlite3.part").write_bytes(b"half a ledger")

    assert rebuild(tmp_path, now=NOW).tasks == 1
    assert found(tmp_path) == []


# Through the installed command.


async def test_a_task_whose_files_are_not_all_there_becomes_pending(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    (tmp_path / "fox-0-1.png").unlink()
    (tmp_path / "fox-1-1.png").write_bytes(b"not what came")
    append(tmp_path, '{"torn')
    damage(tmp_path)

    ended = batchgen("verify", tmp_path, "--rebuild", cwd=tmp_path)

    assert ended.code == 1
    assert ended.out.splitlines() == [
        "missing  fox-0-1.png (task fox-0)",
        "size     fox-1-1.png (task fox-1)",
    ]
    assert f"{FILE_NAME}:4: tells no task" in ended.err
    assert "in flight" in ended.err
    assert "the same idempotency keys" in ended.err
    statuses = [line["status"] for line in results(tmp_path)]
    assert statuses == ["pending", "pending", "succeeded"]
    assert names(tmp_path) == {"fox-1-1.png.damaged", "fox-2-1.png"}


async def test_a_sound_ledger_is_not_given_up_for_one_that_tells_less(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    before = ledger_path(tmp_path).read_bytes()

    ended = batchgen("verify", tmp_path, "--rebuild", cwd=tmp_path)

    assert ended.code == 2
    assert "is not damaged" in ended.err
    assert ledger_path(tmp_path).read_bytes() == before


@pytest.mark.parametrize("how", [lose, damage, empty])
def test_a_rebuilt_job_goes_on_where_it_was(how: Callable[[Path], None], tmp_path: Path) -> None:
    prompts = [f"fox {number}\n" for number in range(6)]
    (tmp_path / "m.csv").write_text("prompt\n" + "".join(prompts))
    with simulate(cwd=tmp_path) as base_url:
        words = [*RUN, "--base-url", base_url]
        assert batchgen(*words, cwd=tmp_path, **KEY).code == 0
        before = results(tmp_path / "out")
        how(tmp_path / "out")
        assert batchgen(*words, cwd=tmp_path, **KEY).code == 4
        rebuilt = batchgen("verify", "out", "--rebuild", cwd=tmp_path)
        assert (rebuilt.code, rebuilt.out) == (0, "")
        assert "the same idempotency keys" in rebuilt.err
        (tmp_path / "m.csv").write_text("prompt\na new one\n" + "".join(prompts))
        ended = batchgen(*words, cwd=tmp_path, **KEY)
        seen = stats(base_url)

    assert ended.code == 0, ended.err
    assert seen["generations"] == 7
    after = results(tmp_path / "out")
    assert [line["artifacts"] for line in after[1:]] == [line["artifacts"] for line in before]
    assert batchgen("verify", "out", cwd=tmp_path).code == 0
    with closing(sqlite3.connect(ledger_path(tmp_path / "out"))) as ledger:
        assert set(ledger.execute("SELECT file FROM tasks")) == {("m.csv",)}


def test_rows_of_other_families_are_known_again_after_a_rebuild(tmp_path: Path) -> None:
    (tmp_path / "m.yaml").write_text(
        "provider: simulator\noutput: {dir: out}\nprompts:\n"
        '  - {id: a, prompt: "A fox", model: openai/gpt-4o, max_tokens: 9}\n'
        '  - {id: b, prompt: "A fox", model: text-embedding-3-small}\n'
        '  - {id: c, prompt: "A fox", model: openai/gpt-4o-mini-tts, voice: alloy}\n'
    )
    assert batchgen("run", "m.yaml", cwd=tmp_path).code == 0
    lose(tmp_path / "out")
    assert batchgen("verify", "out", "--rebuild", cwd=tmp_path).code == 0

    again = batchgen("run", "m.yaml", cwd=tmp_path)

    assert again.code == 0
    assert "0 in this run" in again.err
    assert {line["attempts"] for line in results(tmp_path / "out")} == {1}
