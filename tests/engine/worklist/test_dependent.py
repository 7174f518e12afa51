"""The order of tasks that take from one another, with a real manifest and a real ledger."""

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

DRAWN = "flux/dev/image-to-image"
BUSY = Outcome(Status.FAILED, error=TaskError("server", None, "busy"), attempts=1)
UNSURE = Outcome(Status.UNKNOWN, error=TaskError("timeout", None, "no reply"), attempts=1)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    (tmp_path / "out").mkdir()
    with a_ledger(tmp_path / "out") as one:
        yield one


def feeding(
    path: Path, ledger: Ledger, text: str, *, most: int = 4096, **chosen: Any
) -> DependentWorklist:
    opened = manifest(path, text)
    found = check(opened, select=iter)
    assert [str(one) for one in found.problems] == []
    sources = Dependencies(found.references, ledger, path / "out")
    return DependentWorklist(opened, ledger, Selection(**chosen), sources, most=most)


def drawn(work: WorkItem, *, content: str = "") -> Outcome:
    """A success with one file, whose hash follows from the task's id and the content."""
    task = work.task
    digits = (task.id + content).encode().hex()[:64].ljust(64, "0")
    extension, media = ("mp4", "video/mp4") if task.endpoint == "video" else ("png", "image/png")
    name = f"{task.id}-{work.generation}.{extension}"
    return succeeded(an_artifact(name, sha256=digits, media_type=media), attempts=1)


async def end(ledger: Ledger, work: WorkItem, outcome: Outcome) -> None:
    """What the runner does with an outcome before it tells of it."""
    if work.ended is not None:
        await ledger.record_unsent(work.task, work.generation, outcome, now=NOW)
        return
    await ledger.record_sent(work.task, work.generation, attempts=1, now=NOW)
    await ledger.record_outcome(work.task, work.generation, outcome)


async def execute(one: DependentWorklist, ledger: Ledger, ends: dict[str, Outcome]) -> list[str]:
    """Carry each work out as soon as it comes; what each came to, in their order."""
    told = []
    for work in one.items():
        if work is None:
            continue
        outcome = work.ended or ends.get(work.task.id) or drawn(work)
        if outcome.status is Status.PENDING:
            one.settle(work, outcome)
        else:
            await end(ledger, work, outcome)
            one.settle(work, outcome)
        told.append(f"{work.task.id} {outcome.status}")
    return told


def statuses(ledger: Ledger) -> dict[str, str]:
    return {record.task.id: str(record.outcome.status) for record in ledger.records()}


async def test_a_source_that_stands_behind_is_made_first_and_sent_along(
    tmp_path: Path, ledger: Ledger
) -> None:
    one = feeding(tmp_path, ledger, job(clip({"from": "hero"}), HERO))
    items = one.items()

    hero = next(work for work in items if work is not None)
    assert hero.task.id == "hero"
    await end(ledger, hero, drawn(hero))
    one.settle(hero, drawn(hero))
    taker = next(work for work in items if work is not None)

    assert taker.task.inputs == {
        "image_url": LocalFile(
            tmp_path / "out" / "hero-1.png", "hero-1.png", 1234,
            drawn(hero).artifacts[0].sha256, "image/png",
            f"`batchgen verify {tmp_path / 'out'} --fix` has it made again",
        )
    }  # fmt: skip
    assert taker.task.params["image_url"] == {"from": "hero"}


async def test_again_nothing_is_left_and_an_edited_source_makes_its_takers_anew(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(clip({"from": "hero"}), HERO)
    assert await execute(feeding(tmp_path, ledger, text), ledger, {}) == [
        "hero succeeded", "clip succeeded",
    ]  # fmt: skip
    again = feeding(tmp_path, ledger, text)
    assert await execute(again, ledger, {}) == []
    assert again.passed == {Status.SUCCEEDED: 2}

    edited = job(clip({"from": "hero"}), {**HERO, "prompt": "Another"})
    one = feeding(tmp_path, ledger, edited)
    items = [work for work in one.items() if work is not None and await told(one, ledger, work)]
    assert [(work.task.id, work.generation) for work in items] == [("hero", 2), ("clip", 2)]


async def told(one: DependentWorklist, ledger: Ledger, work: WorkItem) -> bool:
    outcome = drawn(work, content=str(work.generation))
    await end(ledger, work, outcome)
    one.settle(work, outcome)
    return True


async def test_a_source_made_again_with_the_same_bytes_makes_nothing_anew(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(HERO, clip({"from": "hero"}))
    await execute(feeding(tmp_path, ledger, text), ledger, {})
    edited = job({**HERO, "prompt": "Another"}, clip({"from": "hero"}))
    assert await execute(feeding(tmp_path, ledger, edited), ledger, {}) == ["hero succeeded"]


@pytest.mark.parametrize("status", [Status.FAILED, Status.REFUSED])
async def test_takers_of_a_failed_source_are_skipped_down_the_line_until_it_succeeds(
    tmp_path: Path, ledger: Ledger, status: Status
) -> None:
    film = {"id": "heard", "model": "nova-3-medical", "url": {"from": "clip"}}
    text = job(film, clip({"from": "hero"}), HERO)
    bad = replace(BUSY, status=status)

    first = await execute(feeding(tmp_path, ledger, text), ledger, {"hero": bad})
    assert first == [f"hero {status}", "clip skipped", "heard skipped"]
    reasons = {
        record.task.id: line_of(record)["error"]
        for record in ledger.records()
        if record.task.id != "hero"
    }
    became = "failed" if status is Status.FAILED else "was refused"
    assert reasons["clip"] == {
        "kind": "source", "code": None,
        "message": f"`image_url` is to be a file of 'hero', which {became} (server: busy)",
    }  # fmt: skip
    again = feeding(tmp_path, ledger, text)
    assert await execute(again, ledger, {}) == []
    assert again.passed == {status: 1, Status.SKIPPED: 2}

    retried = feeding(tmp_path, ledger, text, retry_failed=str(status))
    assert await execute(retried, ledger, {}) == [
        "hero succeeded", "clip succeeded", "heard succeeded",
    ]  # fmt: skip
    generations = {one.task.id: one.outcome.attempts for one in ledger.records()}
    assert generations == {"hero": 1, "clip": 1, "heard": 1}


async def test_a_source_that_fails_again_tells_its_takers_the_new_reason(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(HERO, clip({"from": "hero"}))
    await execute(feeding(tmp_path, ledger, text), ledger, {"hero": BUSY})
    other = replace(BUSY, error=TaskError("server", None, "on fire"))
    again = feeding(tmp_path, ledger, text, retry_failed="*")
    assert await execute(again, ledger, {"hero": other}) == ["hero failed", "clip skipped"]
    (error,) = [one.outcome.error for one in ledger.records() if one.task.id == "clip"]
    assert error is not None
    assert "on fire" in error.message


async def test_an_unknown_source_leaves_its_takers_pending(tmp_path: Path, ledger: Ledger) -> None:
    text = job(HERO, clip({"from": "hero"}))
    one = feeding(tmp_path, ledger, text)
    assert await execute(one, ledger, {"hero": UNSURE}) == ["hero unknown", "clip pending"]
    assert one.left == 1
    held = feeding(tmp_path, ledger, text, on_unknown=OnUnknown.HOLD)
    assert await execute(held, ledger, {}) == ["clip pending"]
    assert await execute(feeding(tmp_path, ledger, text), ledger, {}) == [
        "hero succeeded", "clip succeeded",
    ]  # fmt: skip


async def test_a_source_outside_the_selection_serves_as_the_ledger_has_it(
    tmp_path: Path, ledger: Ledger
) -> None:
    text = job(clip({"from": "hero"}), HERO, {**HERO, "id": "other"})
    before = feeding(tmp_path, ledger, text, only="clip")
    assert await execute(before, ledger, {}) == ["clip pending"]
    assert await execute(feeding(tmp_path, ledger, text, only="hero"), ledger, {}) == [
        "hero succeeded"
    ]
    limited = feeding(tmp_path, ledger, text, limit=1)
    assert await execute(limited, ledger, {}) == ["clip succeeded"]


async def test_a_source_outside_the_selection_that_was_edited_does_not_serve(
    tmp_path: Path, ledger: Ledger
) -> None:
    await execute(feeding(tmp_path, ledger, job(HERO)), ledger, {})
    edited = job({**HERO, "prompt": "Another"}, clip({"from": "hero"}))
    one = feeding(tmp_path, ledger, edited, only="clip")
    assert await execute(one, ledger, {}) == ["clip pending"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"artifacts": ()}, "`image_url`: 'page' came to 0 files, and file 1 is wanted"),
        (
            {"artifacts": (an_artifact("page.md", media_type="text/markdown"),)},
            "`image_url`: page.md of 'page' is text/markdown, and image is wanted",
        ),
        (
            {"artifacts": (an_artifact("page.png", size_bytes=2**30),)},
            "`image_url`: page.png of 'page' has 1.1 GB; 52.4 MB are the most",
        ),
    ],
)
async def test_an_artifact_that_does_not_fit_fails_whoever_takes_it(
    tmp_path: Path, ledger: Ledger, change: dict[str, Any], message: str
) -> None:
    page = {
        "id": "page", "model": "mistral/mistral-ocr-latest",
        "document": {"type": "document_url", "document_url": "https://x.test/a.pdf"},
    }  # fmt: skip
    text = job(page, clip({"from": "page"}))
    ends = {"page": replace(succeeded(), **change)}
    assert await execute(feeding(tmp_path, ledger, text), ledger, ends) == [
        "page succeeded", "clip failed",
    ]  # fmt: skip
    (error,) = [one.outcome.error for one in ledger.records() if one.task.id == "clip"]
    assert error == TaskError("input_file", None, message)
    assert await execute(feeding(tmp_path, ledger, text), ledger, {}) == []


def web(edges: list[set[int]], order: list[int]) -> str:
    """A job of pictures drawn from pictures: number N takes from those in `edges[N]`."""
    rows = []
    for number in order:
        row = {"id": f"n{number}", "prompt": "A fox", "model": "flux/kontext-max/image-to-image"}
        urls: list[object] = [{"from": f"n{one}"} for one in sorted(edges[number])]
        rows.append({**row, "image_url": urls or ["https://x.test/a.png"]})
    return job(*rows)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_whatever_takes_from_whatever_each_comes_once_and_after_its_sources(
    tmp_path: Path, data: st.DataObject
) -> None:
    count = data.draw(st.integers(1, 14), "count")
    edges = [
        data.draw(st.sets(st.integers(0, n - 1), max_size=3) if n else st.just(set()))
        for n in range(count)
    ]
    order = data.draw(st.permutations(range(count)), "order")
    most = data.draw(st.integers(1, 6), "most")
    chance = random.Random(data.draw(st.integers(0, 99), "seed"))  # noqa: S311  # no secret
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    (folder / "out").mkdir()
    with a_ledger(folder / "out") as ledger:
        one = feeding(folder, ledger, web(edges, order), most=most)
        came: list[int] = []
        ended: set[int] = set()
        under_way: list[WorkItem] = []
        for work in one.items():
            if work is not None:
                assert work.ended is None
                number = int(work.task.id[1:])
                assert edges[number] <= ended
                assert not list(references_of(work.task))
                came.append(number)
                under_way.append(work)
            # What was given out ends now and then; at once where all else waits for it.
            while under_way and (chance.random() < 0.3 or (work is None and one._waits)):
                done = under_way.pop(chance.randrange(len(under_way)))
                await end(ledger, done, drawn(done))
                one.settle(done, drawn(done))
                ended.add(int(done.task.id[1:]))
                if work is None:
                    break
            assert one._held_count <= most
        assert sorted(came) == list(range(count))


async def test_more_than_can_be_held_are_put_off_and_come_all_the_same(
    tmp_path: Path, ledger: Ledger
) -> None:
    rows = [clip({"from": f"h{n}"}, f"c{n}") for n in range(60)]
    heroes = [{**HERO, "id": f"h{n}"} for n in range(60)]
    one = feeding(tmp_path, ledger, job(*rows, *heroes), most=8)
    came = await execute(one, ledger, {})
    assert len(came) == len(set(came)) == 120
    assert set(statuses(ledger).values()) == {"succeeded"}


async def test_the_producer_rests_until_a_source_has_ended(tmp_path: Path, ledger: Ledger) -> None:
    one = feeding(tmp_path, ledger, job(HERO, clip({"from": "hero"})))
    items = one.items()
    hero = next(items)
    assert hero is not None
    turns = 0

    async def produce() -> WorkItem:
        nonlocal turns
        for work in items:
            if work is not None:
                return work
            turns += 1
            await one.turn()
        raise AssertionError("the taker never came")

    producing = asyncio.create_task(produce())
    await run_pending()
    rested = turns
    await run_pending()
    assert turns == rested
    await end(ledger, hero, drawn(hero))
    one.settle(hero, drawn(hero))
    assert (await producing).task.id == "clip"


async def test_a_source_that_is_gone_in_mid_run_leaves_its_takers(
    tmp_path: Path, ledger: Ledger
) -> None:
    one = feeding(tmp_path, ledger, job(clip({"from": "hero"}), HERO))
    (tmp_path / "job.yaml").write_text(job(clip({"from": "hero"})))
    assert await execute(one, ledger, {}) == ["clip pending"]


async def test_a_row_put_in_while_others_are_put_off_makes_nothing_twice(
    tmp_path: Path, ledger: Ledger
) -> None:
    rows = [*(clip({"from": f"h{n}"}, f"c{n}") for n in range(8)),
            *({**HERO, "id": f"h{n}"} for n in range(8))]  # fmt: skip
    one = feeding(tmp_path, ledger, job(*rows), most=2)
    came = []
    for work in one.items():
        if work is None:
            (tmp_path / "job.yaml").write_text(job({**HERO, "id": "new"}, *rows))
            continue
        came.append(work.task.id)
        await told(one, ledger, work)
    assert sorted(came) == sorted(str(row["id"]) for row in rows)


async def test_the_outcome_of_a_task_that_nothing_was_sent_for_keeps_its_earlier_version(
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
