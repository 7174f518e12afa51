"""Rebuilding the ledger from results.jsonl and the files."""

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
    an_image,
    an_output,
    end_run,
    finding_lines,
    names,
    record_task,
    records,
)

KEY: dict[str, Any] = {"AIMLAPI_API_KEY": "sk-canary-7731"}
RUN = ("run", "m.csv", "--model", "dall-e-2", "--set", "size=256x256", "-o", "out")


def lose(directory: Path) -> None:
    """Delete the ledger."""
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


async def test_a_rebuilt_ledger_gives_the_same_results(tmp_path: Path) -> None:
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
        images = (an_image(tmp_path, 0, 1), an_image(tmp_path, 0, 2))
        await record_task(ledger, a_named_task(0), succeeded(*images))
        await record_task(ledger, a_named_task(1), failed)
        await ledger.record_pending([a_named_task(2)])
        end_run(tmp_path, ledger)
    before = (tmp_path / FILE_NAME).read_bytes()
    digests = [record.task.digest for record in records(tmp_path)]
    lose(tmp_path)

    rebuilt = rebuild(tmp_path, now=NOW)

    assert (rebuilt.tasks, rebuilt.skipped, rebuilt.aside) == (3, 0, None)
    assert finding_lines(tmp_path) == []
    with Ledger(ledger_path(tmp_path)) as ledger:
        assert [record.task.digest for record in ledger.records()] == digests
        run = ledger.last_run()
        end_run(tmp_path, ledger)
    assert (tmp_path / FILE_NAME).read_bytes() == before
    assert run is not None
    assert (run.total, run.reason) == (3, "rebuilt")


async def test_succeeded_tasks_are_not_sent_again_after_a_rebuild(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    lose(tmp_path)
    rebuild(tmp_path, now=NOW)

    tasks = [a_named_task(number) for number in range(3)]
    with Ledger(ledger_path(tmp_path)) as ledger:
        priors = ledger.priors([task.key for task in tasks])
    assert [Selection().decide(task, priors[task.key]) for task in tasks] == [None] * 3


async def test_idempotency_keys_survive_the_loss_of_the_ledger(tmp_path: Path) -> None:
    with a_new_ledger(tmp_path, total=1) as ledger:
        before = idempotency_key(identity_of(ledger), a_named_task(0), 1)
        await ledger.record_sent(a_named_task(0), 1, attempts=1, now=NOW)
        end_run(tmp_path, ledger)
    lose(tmp_path)

    assert rebuild(tmp_path, now=NOW).identity

    (record,) = records(tmp_path)
    with Ledger(ledger_path(tmp_path)) as ledger:
        assert idempotency_key(identity_of(ledger), record.task, 1) == before
    assert record.outcome.status is Status.UNKNOWN


async def test_facts_about_the_job_in_a_damaged_ledger_are_kept(tmp_path: Path) -> None:
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


async def test_a_later_line_of_a_task_replaces_the_earlier_one(tmp_path: Path) -> None:
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
    assert [artifact.path for artifact in first.outcome.artifacts] == ["fox-0-1.png"]


async def test_a_version_keeps_its_number(tmp_path: Path) -> None:
    with a_new_ledger(tmp_path, total=1) as ledger:
        image = an_image(tmp_path, 0, suffix=".v3")
        await record_task(ledger, a_named_task(0), succeeded(image), generation=3)
        end_run(tmp_path, ledger)
    lose(tmp_path)
    rebuild(tmp_path, now=NOW)

    key = a_named_task(0).key
    with Ledger(ledger_path(tmp_path)) as ledger:
        assert ledger.priors([key])[key].generation == 3
        assert [record.outcome.artifacts for record in ledger.records()] == [(image,)]


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
async def test_a_line_that_is_not_a_task_record_is_reported_and_skipped(
    line: str, tmp_path: Path
) -> None:
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


async def test_without_results_nothing_is_changed(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    (tmp_path / FILE_NAME).unlink()
    before = ledger_path(tmp_path).read_bytes()

    with pytest.raises(StorageError, match=r"results\.jsonl.*nothing was deleted"):
        rebuild(tmp_path, now=NOW)
    assert ledger_path(tmp_path).read_bytes() == before


async def test_leftovers_of_an_interrupted_rebuild_are_replaced(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    lose(tmp_path)
    ledger_path(tmp_path).with_name("ledger.sqlite3.part").write_bytes(b"half a ledger")

    assert rebuild(tmp_path, now=NOW).tasks == 1
    assert finding_lines(tmp_path) == []


# Through the installed command.


async def test_a_task_with_missing_files_becomes_pending(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    (tmp_path / "fox-0-1.png").unlink()
    (tmp_path / "fox-1-1.png").write_bytes(b"other bytes")
    append(tmp_path, '{"incomplete')
    damage(tmp_path)

    ended = batchgen("verify", tmp_path, "--rebuild", cwd=tmp_path)

    assert ended.code == 1
    assert ended.out.splitlines() == [
        "missing  fox-0-1.png (task fox-0)",
        "size     fox-1-1.png (task fox-1)",
    ]
    assert f"{FILE_NAME}:4: not a task record" in ended.err
    assert "in flight" in ended.err
    assert "the same idempotency keys" in ended.err
    statuses = [line["status"] for line in results(tmp_path)]
    assert statuses == ["pending", "pending", "succeeded"]
    assert names(tmp_path) == {"fox-1-1.png.damaged", "fox-2-1.png"}


async def test_a_sound_ledger_is_not_replaced_by_a_rebuilt_one(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    before = ledger_path(tmp_path).read_bytes()

    ended = batchgen("verify", tmp_path, "--rebuild", cwd=tmp_path)

    assert ended.code == 2
    assert "is not damaged" in ended.err
    assert ledger_path(tmp_path).read_bytes() == before


@pytest.mark.parametrize("how", [lose, damage, empty])
def test_a_rebuilt_job_continues_where_it_was(how: Callable[[Path], None], tmp_path: Path) -> None:
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
        statistics = stats(base_url)

    assert ended.code == 0, ended.err
    assert statistics["generations"] == 7
    after = results(tmp_path / "out")
    assert [line["artifacts"] for line in after[1:]] == [line["artifacts"] for line in before]
    assert batchgen("verify", "out", cwd=tmp_path).code == 0
    with closing(sqlite3.connect(ledger_path(tmp_path / "out"))) as ledger:
        assert set(ledger.execute("SELECT file FROM tasks")) == {("m.csv",)}


def test_rows_of_other_modalities_are_recognised_after_a_rebuild(tmp_path: Path) -> None:
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
