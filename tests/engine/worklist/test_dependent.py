"""The order of tasks that depend on others, with a real manifest and a real ledger."""

import asyncio
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs
from msgspec.structs import replace

from batchgen.engine.worklist.dependencies import Dependencies
from batchgen.engine.worklist.dependent import DependentWorklist
from batchgen.engine.worklist.selection import OnUnknown, Selection
from batchgen.manifest.dependencies import references_of
from batchgen.manifest.plan import check
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import line_of
from batchgen.types import LocalFile, Outcome, Record, Status, Task, TaskError, WorkItem
from tests.given import NOW, a_ledger, an_artifact, run_pending, succeeded
from tests.manifest.test_dependencies import HERO, clip, job
from tests.manifest.test_plan import manifest

BUSY = Outcome(Status.FAILED, error=TaskError("server", None, "busy"), attempts=1)
UNSURE = Outcome(Status.UNKNOWN, error=TaskError("timeout", None, "no reply"), attempts=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    (tmp_path / "out").mkdir()
    with a_ledger(tmp_path / "out") as ledger:
        yield ledger


def dependent_worklist(
    path: Path, ledger: Ledger, text: str, *, max_waiting: int = 4096, **selected: Any
) -> DependentWorklist:
    opened = manifest(path, text)
    plan = check(opened, select=iter)
    assert [str(problem) for problem in plan.problems] == []
    sources = Dependencies(plan.references, ledger, path / "out")
    return DependentWorklist(
        opened, ledger, Selection(**selected), sources, max_waiting=max_waiting
    )


def success(work: WorkItem, *, content: str = "") -> Outcome:
    """A success with one file, whose hash depends on the task's id and the content."""
    task = work.task
    digits = (task.id + content).encode().hex()[:64].ljust(64, "0")
    extension, media = ("mp4", "video/mp4") if task.endpoint == "video" else ("png", "image/png")
    name = f"{task.id}-{work.generation}.{extension}"
    return succeeded(an_artifact(name, sha256=digits, media_type=media), attempts=1)


async def commit(ledger: Ledger, work: WorkItem, outcome: Outcome) -> None:
    """Commit an outcome as the runner does."""
    if work.ended is not None:
        await ledger.record_unsent(work.task, work.generation, outcome, now=NOW)
        return
    await ledger.record_sent(work.task, work.generation, attempts=1, now=NOW)
    await ledger.record_outcome(work.task, work.generation, outcome)


async def execute(
    worklist: DependentWorklist, ledger: Ledger, ends: dict[str, Outcome]
) -> list[str]:
    """End each task when it is yielded; return ids and statuses in this order."""
    lines = []
    for work in worklist.items():
        if work is None:
            continue
        outcome = work.ended or ends.get(work.task.id) or success(work)
        if outcome.status is Status.PENDING:
            worklist.mark_done(work, outcome)
        else:
            await commit(ledger, work, outcome)
            worklist.mark_done(work, outcome)
        lines.append(f"{work.task.id} {outcome.status}")
    return lines


def statuses(ledger: Ledger) -> dict[str, str]:
    return {record.task.id: str(record.outcome.status) for record in ledger.records()}


async def test_a_source_in_a_later_row_runs_first_and_its_file_is_sent(
    tmp_path: Path, ledger: Ledger
) -> None:
    worklist = dependent_worklist(tmp_path, ledger, job(clip({"from": "hero"}), HERO))
    items = worklist.items()

    hero = next(work for work in items if work is not None)
    assert hero.task.id == "hero"
    await commit(ledger, hero, success(hero))
    worklist.mark_done(hero, success(hero))
    clip_work = next(work for work in items if work is not None)

    assert clip_work.task.inputs == {
        "image_url": LocalFile(
            tmp_path / "out" / "hero-1.png", "hero-1.png", 1234,
            success(hero).artifacts[0].sha256, "image/png",
            f"run `batchgen verify {tmp_path / 'out'} --fix` to generate it again",
        )
    }  # fmt: skip
    assert clip_work.task.params["image_url"] == {"from": "hero"}


async def test_a_second_run_does_nothing_and_an_edited_source_regenerates_its_dependents(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(clip({"from": "hero"}), HERO)
    assert await execute(dependent_worklist(tmp_path, ledger, text), ledger, {}) == [
        "hero succeeded", "clip succeeded",
    ]  # fmt: skip
    again = dependent_worklist(tmp_path, ledger, text)
    assert await execute(again, ledger, {}) == []
    assert again.untouched == {Status.SUCCEEDED: 2}

    edited = job(clip({"from": "hero"}), {**HERO, "prompt": "Another"})
    worklist = dependent_worklist(tmp_path, ledger, edited)
    items = [
        work for work in worklist.items() if work is not None and await end(worklist, ledger, work)
    ]
    assert [(work.task.id, work.generation) for work in items] == [("hero", 2), ("clip", 2)]


async def end(worklist: DependentWorklist, ledger: Ledger, work: WorkItem) -> bool:
    outcome = success(work, content=str(work.generation))
    await commit(ledger, work, outcome)
    worklist.mark_done(work, outcome)
    return True


async def test_a_source_that_is_regenerated_with_the_same_bytes_regenerates_nothing_else(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(HERO, clip({"from": "hero"}))
    await execute(dependent_worklist(tmp_path, ledger, text), ledger, {})
    edited = job({**HERO, "prompt": "Another"}, clip({"from": "hero"}))
    assert await execute(dependent_worklist(tmp_path, ledger, edited), ledger, {}) == [
        "hero succeeded"
    ]


@pytest.mark.parametrize("status", [Status.FAILED, Status.REFUSED])
async def test_all_dependents_of_a_failed_source_are_skipped_until_it_succeeds(
    tmp_path: Path, ledger: Ledger, status: Status
) -> None:
    film = {"id": "heard", "model": "nova-3-medical", "url": {"from": "clip"}}
    text = job(film, clip({"from": "hero"}), HERO)
    bad = replace(BUSY, status=status)

    first = await execute(dependent_worklist(tmp_path, ledger, text), ledger, {"hero": bad})
    assert first == [f"hero {status}", "clip skipped", "heard skipped"]
    reasons = {
        record.task.id: line_of(record)["error"]
        for record in ledger.records()
        if record.task.id != "hero"
    }
    ended = "failed" if status is Status.FAILED else "was refused"
    assert reasons["clip"] == {
        "kind": "source", "code": None,
        "message": f"`image_url` needs a file of 'hero', which {ended} (server: busy)",
    }  # fmt: skip
    again = dependent_worklist(tmp_path, ledger, text)
    assert await execute(again, ledger, {}) == []
    assert again.untouched == {status: 1, Status.SKIPPED: 2}

    retried = dependent_worklist(tmp_path, ledger, text, retry_failed=str(status))
    assert await execute(retried, ledger, {}) == [
        "hero succeeded", "clip succeeded", "heard succeeded",
    ]  # fmt: skip
    generations = {record.task.id: record.outcome.attempts for record in ledger.records()}
    assert generations == {"hero": 1, "clip": 1, "heard": 1}


async def test_dependents_of_a_source_that_fails_again_get_the_new_reason(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(HERO, clip({"from": "hero"}))
    await execute(dependent_worklist(tmp_path, ledger, text), ledger, {"hero": BUSY})
    other = replace(BUSY, error=TaskError("server", None, "on fire"))
    again = dependent_worklist(tmp_path, ledger, text, retry_failed="*")
    assert await execute(again, ledger, {"hero": other}) == ["hero failed", "clip skipped"]
    (error,) = [record.outcome.error for record in ledger.records() if record.task.id == "clip"]
    assert error is not None
    assert "on fire" in error.message


async def test_dependents_of_an_unknown_source_stay_pending(tmp_path: Path, ledger: Ledger) -> None:
    text = job(HERO, clip({"from": "hero"}))
    worklist = dependent_worklist(tmp_path, ledger, text)
    assert await execute(worklist, ledger, {"hero": UNSURE}) == ["hero unknown", "clip pending"]
    assert worklist.left_pending == 1
    without_resending = dependent_worklist(tmp_path, ledger, text, on_unknown=OnUnknown.HOLD)
    assert await execute(without_resending, ledger, {}) == ["clip pending"]
    assert await execute(dependent_worklist(tmp_path, ledger, text), ledger, {}) == [
        "hero succeeded", "clip succeeded",
    ]  # fmt: skip


async def test_a_source_outside_the_selection_is_used_if_it_has_succeeded_before(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(clip({"from": "hero"}), HERO, {**HERO, "id": "other"})
    before = dependent_worklist(tmp_path, ledger, text, only="clip")
    assert await execute(before, ledger, {}) == ["clip pending"]
    assert await execute(dependent_worklist(tmp_path, ledger, text, only="hero"), ledger, {}) == [
        "hero succeeded"
    ]
    limited = dependent_worklist(tmp_path, ledger, text, limit=1)
    assert await execute(limited, ledger, {}) == ["clip succeeded"]


async def test_a_source_outside_the_selection_that_was_edited_is_not_used(
    tmp_path: Path, ledger: Ledger
) -> None:
    await execute(dependent_worklist(tmp_path, ledger, job(HERO)), ledger, {})
    edited = job({**HERO, "prompt": "Another"}, clip({"from": "hero"}))
    worklist = dependent_worklist(tmp_path, ledger, edited, only="clip")
    assert await execute(worklist, ledger, {}) == ["clip pending"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artifacts": ()}, "`image_url`: 'page' produced 0 files; file 1 does not exist"),
        (
            {"artifacts": (an_artifact("page.md", media_type="text/markdown"),)},
            "`image_url`: page.md of 'page' is text/markdown; needed: image",
        ),
        (
            {"artifacts": (an_artifact("page.png", size_bytes=2**30),)},
            "`image_url`: page.png of 'page' has 1.1 GB; the limit is 52.4 MB",
        ),
    ],
)
async def test_an_unsuitable_artifact_fails_its_dependents(
    tmp_path: Path, ledger: Ledger, change: dict[str, Any], message: str
) -> None:
    page = {
        "id": "page", "model": "mistral/mistral-ocr-latest",
        "document": {"type": "document_url", "document_url": "https://x.test/a.pdf"},
    }  # fmt: skip
    text = job(page, clip({"from": "page"}))
    ends = {"page": replace(succeeded(), **change)}
    assert await execute(dependent_worklist(tmp_path, ledger, text), ledger, ends) == [
        "page succeeded", "clip failed",
    ]  # fmt: skip
    (error,) = [record.outcome.error for record in ledger.records() if record.task.id == "clip"]
    assert error == TaskError("input_file", None, message)
    assert await execute(dependent_worklist(tmp_path, ledger, text), ledger, {}) == []


def image_job(edges: list[set[int]], order: list[int]) -> str:
    """A job of images made from images: number N depends on those in `edges[N]`."""
    rows = []
    for number in order:
        row = {"id": f"n{number}", "prompt": "A fox", "model": "flux/kontext-max/image-to-image"}
        urls: list[object] = [{"from": f"n{source}"} for source in sorted(edges[number])]
        rows.append({**row, "image_url": urls or ["https://x.test/a.png"]})
    return job(*rows)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_with_any_dependencies_each_task_comes_once_and_after_its_sources(
    tmp_path: Path, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 14), "count")
    edges = [
        data.draw(st.sets(st.integers(0, n - 1), max_size=3) if n else st.just(set()))
        for n in range(count)
    ]
    order = data.draw(st.permutations(range(count)), "order")
    max_waiting = data.draw(st.integers(1, 6), "max_waiting")
    chance = random.Random(data.draw(st.integers(0, 99), "seed"))  # noqa: S311  # no secret
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "out").mkdir()
    with a_ledger(folder / "out") as ledger:
        worklist = dependent_worklist(
            folder, ledger, image_job(edges, order), max_waiting=max_waiting
        )
        yielded: list[int] = []
        ended: set[int] = set()
        in_flight: list[WorkItem] = []
        for work in worklist.items():
            if work is not None:
                assert work.ended is None
                number = int(work.task.id[1:])
                assert edges[number] <= ended
                assert not list(references_of(work.task))
                yielded.append(number)
                in_flight.append(work)
            # Tasks in flight end at random; one ends if the worklist waits for it.
            while in_flight and (chance.random() < 0.3 or (work is None and worklist._must_wait)):
                done = in_flight.pop(chance.randrange(len(in_flight)))
                await commit(ledger, done, success(done))
                worklist.mark_done(done, success(done))
                ended.add(int(done.task.id[1:]))
                if work is None:
                    break
            assert worklist._waiting_count <= max_waiting
        assert sorted(yielded) == list(range(count))


async def test_tasks_beyond_the_limit_are_deferred_and_come_later(
    tmp_path: Path, ledger: Ledger
) -> None:
    rows = [clip({"from": f"h{n}"}, f"c{n}") for n in range(60)]
    heroes = [{**HERO, "id": f"h{n}"} for n in range(60)]
    worklist = dependent_worklist(tmp_path, ledger, job(*rows, *heroes), max_waiting=8)
    ended = await execute(worklist, ledger, {})
    assert len(ended) == len(set(ended)) == 120
    assert set(statuses(ledger).values()) == {"succeeded"}


async def test_the_producer_waits_until_a_source_has_ended(tmp_path: Path, ledger: Ledger) -> None:
    worklist = dependent_worklist(tmp_path, ledger, job(HERO, clip({"from": "hero"})))
    items = worklist.items()
    hero = next(items)
    assert hero is not None
    turns = 0

    async def produce() -> WorkItem:
        nonlocal turns
        for work in items:
            if work is not None:
                return work
            turns += 1
            await worklist.yield_control()
        raise AssertionError("the dependent task was never yielded")

    producing = asyncio.create_task(produce())
    await run_pending()
    turns_before = turns
    await run_pending()
    assert turns == turns_before
    await commit(ledger, hero, success(hero))
    worklist.mark_done(hero, success(hero))
    assert (await producing).task.id == "clip"


async def test_dependents_of_a_source_removed_during_the_run_stay_pending(
    tmp_path: Path, ledger: Ledger
) -> None:
    worklist = dependent_worklist(tmp_path, ledger, job(clip({"from": "hero"}), HERO))
    (tmp_path / "job.yaml").write_text(job(clip({"from": "hero"})))
    assert await execute(worklist, ledger, {}) == ["clip pending"]


async def test_a_row_inserted_while_others_are_deferred_repeats_nothing(
    tmp_path: Path, ledger: Ledger
) -> None:
    rows = [*(clip({"from": f"h{n}"}, f"c{n}") for n in range(8)),
            *({**HERO, "id": f"h{n}"} for n in range(8))]  # fmt: skip
    worklist = dependent_worklist(tmp_path, ledger, job(*rows), max_waiting=2)
    yielded = []
    for work in worklist.items():
        if work is None:
            (tmp_path / "job.yaml").write_text(job({**HERO, "id": "new"}, *rows))
            continue
        yielded.append(work.task.id)
        await end(worklist, ledger, work)
    assert sorted(yielded) == sorted(str(row["id"]) for row in rows)


async def test_an_outcome_without_a_request_keeps_the_earlier_version(
    ledger: Ledger,
) -> None:
    task = Task(
        "0" * 32, "d" * 32, "a", 0, "m", 1, "images", "m", "A fox", {}, {}, "a.{ext}"
    )  # fmt: skip
    await ledger.record_sent(task, 1, attempts=1, now=NOW)
    await ledger.record_outcome(task, 1, succeeded(an_artifact()))
    skipped = Outcome(Status.SKIPPED, error=TaskError("source", None, "no"), finished_at=NOW)
    await ledger.record_unsent(task, 2, skipped, now=NOW)

    (record,) = ledger.records()
    assert record == Record(structs.replace(task, filename=""), replace(skipped, started_at=None))
    assert ledger.spent_usd() == pytest.approx(0.02)
    assert ledger.priors([task.key])[task.key].generation == 2
