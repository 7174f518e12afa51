"""The Python interface, against the simulator."""

import asyncio
import gc
import subprocess
import sys
from pathlib import Path

import pytest

import batchgen
from batchgen.types import Json

SIZE = "256x256"


def a_job(directory: Path, count: int = 3, **limits: Json) -> dict[str, Json]:
    return {
        "name": "foxes",
        "provider": "simulator",
        "output": {"dir": str(directory)},
        "defaults": {"model": "dall-e-2", "size": SIZE},
        "limits": {"concurrency": 2, **limits},
        "prompts": [f"A fox, number {number}" for number in range(count)],
    }


async def test_tasks_are_yielded_as_they_end_and_the_summary_is_set_at_the_end(
    tmp_path: Path,
) -> None:
    run = batchgen.run(a_job(tmp_path / "out"))
    ended = [done async for done in run]
    assert sorted(done.task.prompt for done in ended) == [f"A fox, number {n}" for n in range(3)]
    for done in ended:
        assert done.outcome.status is batchgen.Status.SUCCEEDED
        assert (tmp_path / "out" / done.outcome.artifacts[0].path).is_file()
    assert run.summary is not None
    assert (run.summary.exit_code, run.summary.tasks.succeeded) == (0, 3)


async def test_leaving_the_loop_early_ends_the_run_and_loses_nothing(tmp_path: Path) -> None:
    job = a_job(tmp_path / "out", count=300)
    run = batchgen.run(job)
    tasks = aiter(run)
    first = await anext(tasks)
    await tasks.aclose()
    assert run.summary is not None
    assert run.summary.exit_code == 130
    assert 0 < run.summary.tasks.succeeded < 300
    assert run.summary.tasks.unknown == 0

    again = batchgen.run(job)
    remaining_keys = [done.task.key async for done in again]
    assert first.task.key not in remaining_keys
    assert len(remaining_keys) == 300 - run.summary.tasks.succeeded


async def test_a_halted_run_is_a_value_and_pending_tasks_are_not_yielded(tmp_path: Path) -> None:
    run = batchgen.run(a_job(tmp_path / "out", count=20, max_requests=3))
    ended = [done async for done in run]
    assert [done.outcome.status for done in ended] == [batchgen.Status.SUCCEEDED] * 3
    assert run.summary is not None
    assert (run.summary.exit_code, run.summary.tasks.pending) == (3, 17)
    assert run.summary.reason == "max_requests of 3 is reached"


async def test_two_runs_work_in_one_event_loop(tmp_path: Path) -> None:
    async def count(name: str) -> int:
        return len([done async for done in batchgen.run(a_job(tmp_path / name))])

    assert list(await asyncio.gather(count("a"), count("b"))) == [3, 3]


def test_without_an_event_loop_a_function_is_called_with_every_task(tmp_path: Path) -> None:
    ids: list[str] = []
    (tmp_path / "m.csv").write_text("id,prompt\nfox,A fox\nowl,An owl\n")
    flags = batchgen.Flags(
        provider="simulator", model="dall-e-2", parameters={"size": SIZE}, output=tmp_path / "out"
    )
    summary = batchgen.run_sync(
        tmp_path / "m.csv",
        flags=flags,
        selection=batchgen.Selection(only="f*"),
        each=lambda done: ids.append(done.task.id),
    )
    assert (summary.exit_code, ids) == (0, ["fox"])


async def test_a_run_does_not_change_the_garbage_collector(tmp_path: Path) -> None:
    def collector() -> tuple[tuple[int, int, int], int]:
        return gc.get_threshold(), gc.get_freeze_count()

    before = collector()
    during = [collector() async for _ in batchgen.run(a_job(tmp_path / "a"))]
    after = collector()

    assert [*during, after] == [before] * 4


def test_a_run_without_an_event_loop_does_not_change_the_garbage_collector(tmp_path: Path) -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    during: list[tuple[tuple[int, int, int], int]] = []
    batchgen.run_sync(
        a_job(tmp_path / "a"),
        each=lambda _: during.append((gc.get_threshold(), gc.get_freeze_count())),
    )

    assert during == [before] * 3


async def test_errors_that_a_person_has_to_fix_are_exceptions(tmp_path: Path) -> None:
    with pytest.raises(batchgen.BatchgenError, match="unknown key `promps`"):
        batchgen.run_sync({"promps": []})
    with pytest.raises(batchgen.UsageError, match="AIMLAPI_API_KEY"):
        async for _ in batchgen.run(
            {**a_job(tmp_path / "out"), "provider": "aimlapi"}, environment={}
        ):
            pass
    with pytest.raises(batchgen.UsageError, match="cannot be written as YAML"):
        batchgen.run_sync({"prompts": [object()]})  # type: ignore[list-item]  # on purpose
    assert not (tmp_path / "out").exists()


def test_every_public_name_exists_and_is_imported_lazily() -> None:
    assert all(getattr(batchgen, name) for name in batchgen.__all__)
    with pytest.raises(AttributeError, match="no attribute 'runn'"):
        batchgen.runn  # noqa: B018  # the access is what is tested
    program = "import sys, batchgen; sys.exit('batchgen.engine.session' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_examples_in_the_python_docs_run(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs" / "python.md").read_text()
    asynchronous, blocking = [part.split("```")[0] for part in page.split("```python\n")[1:]]
    (tmp_path / "spring.yaml").write_text(
        "provider: simulator\ndefaults: {model: dall-e-2, size: 256x256}\nprompts: [A fox]\n"
    )
    for program in (asynchronous, f"import batchgen\n{blocking}"):
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (ended.returncode, ended.stderr) == (0, "")
        assert "succeeded" in ended.stdout


def test_dependent_rows_are_yielded_after_their_sources_also_if_skipped(tmp_path: Path) -> None:
    video: dict[str, Json] = {"model": "google/veo-3.1-i2v-fast", "prompt": "It moves"}
    prompts: list[Json] = [
        {"id": "film", "image_url": {"from": "hero"}, **video},
        {"id": "not", "image_url": {"from": "bad"}, **video},
        {"id": "hero", "prompt": "A fox"},
        {"id": "bad", "prompt": "A forbidden-word"},
    ]
    defaults: Json = {"model": "flux/schnell"}
    job = {**a_job(tmp_path / "out"), "defaults": defaults, "prompts": prompts}
    ended: list[tuple[str, batchgen.Status]] = []
    summary = batchgen.run_sync(
        job, each=lambda done: ended.append((done.task.id, done.outcome.status))
    )
    assert dict(ended) == {
        "hero": "succeeded", "film": "succeeded", "bad": "refused", "not": "skipped",
    }  # fmt: skip
    ids = [task_id for task_id, _ in ended]
    assert ids.index("hero") < ids.index("film")
    assert (summary.exit_code, summary.tasks.skipped, summary.tasks.succeeded) == (1, 1, 2)
