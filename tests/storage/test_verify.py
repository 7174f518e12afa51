"""The ledger against the files: what is found, and what `--fix` makes of it."""

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.engine.worklist.selection import Selection
from batchgen.errors import StorageError
from batchgen.storage import verify
from batchgen.storage.directory import ledger_path, locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.inventory import Inventory
from batchgen.storage.verify import Check, stays_inside
from batchgen.types import Outcome, Status, TaskError
from tests.e2e.command import batchgen, results
from tests.e2e.simulated import simulate, stats
from tests.given import a_ledger, a_task, succeeded
from tests.outputs import a_named_task, a_picture, an_output, carry, findings, found, names, records

KEY: dict[str, Any] = {"AIMLAPI_API_KEY": "sk-canary-7731"}
SIZE = ("--set", "size=256x256")


async def test_a_directory_as_a_run_leaves_it_is_well(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    (tmp_path / "summary.json").touch()
    (tmp_path / "report.html").touch()
    assert found(tmp_path) == []


async def test_each_kind_of_damage_is_told_with_its_file_and_task(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2, 3)
    (tmp_path / "fox-0-1.png").unlink()
    with (tmp_path / "fox-1-1.png").open("ab") as longer:
        longer.write(b"x")
    with (tmp_path / "fox-2-1.png").open("rb+") as other:
        other.seek(20)
        other.write(b"\xff")
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "stray.txt").touch()

    assert found(tmp_path) == [
        "extra    cats/stray.txt",
        "hash     fox-2-1.png (task fox-2)",
        "missing  fox-0-1.png (task fox-0)",
        "size     fox-1-1.png (task fox-1)",
    ]


async def test_what_is_no_file_counts_as_missing(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    for number in range(3):
        (tmp_path / f"fox-{number}-1.png").unlink()
    (tmp_path / "fox-0-1.png").mkdir()
    (tmp_path / "fox-1-1.png").symlink_to("fox-1-1.png")
    os.mkfifo(tmp_path / "fox-2-1.png")

    kinds = {str(finding.kind) for finding in findings(tmp_path) if finding.stored}
    assert kinds == {"missing"}
    assert found(tmp_path, fix=True)  # none of them is in the way of anything
    assert (tmp_path / "fox-0-1.png").is_dir()


async def test_a_file_that_the_disk_cannot_read_any_more_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_output(tmp_path, 0)

    def unreadable(path: Path) -> str:
        raise OSError(errno.EIO, "Input/output error", str(path))

    monkeypatch.setattr(verify, "sha256_of", unreadable)
    assert found(tmp_path) == ["hash     fox-0-1.png (task fox-0)"]


async def test_a_file_that_may_not_be_read_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_output(tmp_path, 0)

    def forbidden(path: Path) -> str:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(verify, "sha256_of", forbidden)
    with pytest.raises(StorageError, match=r"fox-0-1\.png \(Permission denied\).*permissions"):
        found(tmp_path)


async def test_a_name_that_is_no_text_is_extra(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    (tmp_path / os.fsdecode(b"caf\xe9.png")).touch()

    ended = batchgen("verify", tmp_path, cwd=tmp_path)

    assert (ended.code, ended.out) == (1, "extra    caf\\udce9.png\n")


async def test_damage_of_an_earlier_version_is_told_and_left(tmp_path: Path) -> None:
    with a_ledger(tmp_path) as ledger:
        await carry(ledger, a_task(), succeeded(a_picture(tmp_path, 0)))
        newer = succeeded(a_picture(tmp_path, 0, suffix=".v2"))
        await carry(ledger, a_task(digest="e" * 32), newer, generation=2)
    (tmp_path / "fox-0-1.png").unlink()

    told = ["missing  fox-0-1.png (task fox-0, version 1)"]
    assert found(tmp_path, fix=True) == told
    assert found(tmp_path) == told
    assert [record.outcome.status for record in records(tmp_path)] == [Status.SUCCEEDED]


async def test_fix_gives_a_damaged_task_back_under_the_same_generation(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1)
    (tmp_path / "fox-1-1.png").write_bytes(b"not what came")

    found(tmp_path, fix=True)

    task = a_named_task(1)
    with Ledger(ledger_path(tmp_path)) as ledger:
        prior = ledger.priors([task.key])[task.key]
    assert (prior.status, prior.generation, prior.attempts) == (Status.PENDING, 1, 1)
    work = Selection().decide(task, prior)
    assert work is not None
    assert work.generation == 1
    assert [len(record.outcome.artifacts) for record in records(tmp_path)] == [1, 0]


async def test_fix_deletes_nothing_and_leaves_nothing_to_find(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, each=3)
    whole = (tmp_path / "fox-0-3.png").read_bytes()
    (tmp_path / "fox-0-1.png").unlink()
    (tmp_path / "fox-0-2.png").write_bytes(b"not what came")
    (tmp_path / "fox-0-2.png.damaged").write_bytes(b"of an earlier time")

    assert len(found(tmp_path, fix=True)) == 2

    assert found(tmp_path) == []
    assert (tmp_path / "fox-0-2.png.damaged").read_bytes() == b"of an earlier time"
    assert (tmp_path / "fox-0-2.png.2.damaged").read_bytes() == b"not what came"
    assert (tmp_path / "fox-0-3.png.damaged").read_bytes() == whole
    assert [name for name in names(tmp_path) if name.endswith(".png")] == []


async def test_fix_does_not_make_again_what_had_failed(tmp_path: Path) -> None:
    error = TaskError("expired", None, "gone")
    kept, lost = a_picture(tmp_path, 0, 1), a_picture(tmp_path, 0, 2)
    with a_ledger(tmp_path) as ledger:
        await carry(ledger, a_task(), Outcome(Status.FAILED, artifacts=(kept, lost), error=error))
    (tmp_path / lost.path).unlink()

    assert len(found(tmp_path, fix=True)) == 1

    (record,) = records(tmp_path)
    assert (record.outcome.status, record.outcome.artifacts) == (Status.FAILED, (kept,))
    assert found(tmp_path) == []


async def test_more_tasks_than_a_page_are_all_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgen.storage.ledger.inventory.TASKS_AT_ONCE", 2)
    monkeypatch.setattr(verify, "_AHEAD", 2)
    monkeypatch.setattr(verify, "_PATHS_AT_ONCE", 2)
    await an_output(tmp_path, *range(7), each=2)
    for number in range(7):
        (tmp_path / f"fox-{number}-2.png").unlink()

    with Inventory(ledger_path(tmp_path)) as inventory:
        check = Check(tmp_path, inventory, fix=True)
        told = [finding.path for finding in check.findings()]

    assert told == [f"fox-{number}-2.png" for number in range(7)]
    assert (check.artifacts, check.mended) == (14, 7)
    assert found(tmp_path) == []


_DAMAGE = st.dictionaries(
    st.integers(0, 5), st.sampled_from(["missing", "size", "hash"]), max_size=6
)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=_DAMAGE)
async def test_whatever_is_damaged_is_found_and_mended(
    damage: dict[int, str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    directory = tmp_path_factory.mktemp("out")
    await an_output(directory, *range(6))
    for number, kind in damage.items():
        path = directory / f"fox-{number}-1.png"
        data = path.read_bytes()
        path.write_bytes(data[:-1] if kind == "size" else data[:-1] + b"?")
        if kind == "missing":
            path.unlink()

    told = [(one.path, str(one.kind)) for one in findings(directory, fix=True)]

    assert told == [(f"fox-{number}-1.png", damage[number]) for number in sorted(damage)]
    assert found(directory) == []


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x.png", "a/../../x.png", ".batchgen/x.png", "a//b.png", "a\\b", ""]
)
def test_a_path_that_leaves_the_directory_is_known(path: str) -> None:
    assert not stays_inside(path)
    assert stays_inside("cats/001.v2~3.png")


# Through the installed command.


def _run(base_url: str, cwd: Path) -> int:
    words = ["run", "m.csv", "--base-url", base_url, "--model", "dall-e-2", "-o", "out"]
    return batchgen(*words, *SIZE, cwd=cwd, **KEY).code


def _mended(cwd: Path, *flags: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(batchgen("verify", "out", "--json", *flags, cwd=cwd).out)
    return found


def test_a_mended_directory_is_whole_after_a_run_and_nothing_is_paid_for_twice(
    tmp_path: Path,
) -> None:
    (tmp_path / "m.csv").write_text("prompt\n" + "".join(f"fox {n}\n" for n in range(8)))
    with simulate(cwd=tmp_path) as base_url:
        assert _run(base_url, tmp_path) == 0
        before = results(tmp_path / "out")
        paths = [tmp_path / "out" / line["artifacts"][0]["path"] for line in before]
        paths[0].unlink()
        paths[3].write_bytes(b"\x89PNG cut")

        ended = batchgen("verify", "out", "--fix", cwd=tmp_path)

        assert ended.code == 1
        assert ended.out.splitlines() == [
            f"missing  {paths[0].name} (task {before[0]['id']})",
            f"size     {paths[3].name} (task {before[3]['id']})",
        ]
        statuses = [line["status"] for line in results(tmp_path / "out")]
        assert statuses.count("pending") == 2
        assert _run(base_url, tmp_path) == 0
        seen = stats(base_url)

    assert (seen["generations"], seen["double_generations"]) == (8, 0)
    after = batchgen("verify", "out", cwd=tmp_path)
    assert (after.code, after.out) == (0, "")
    assert "no problems found" in after.err
    same = [line["artifacts"] for line in results(tmp_path / "out")]
    assert same == [line["artifacts"] for line in before]


async def test_verify_tells_one_json_object(tmp_path: Path) -> None:
    await an_output(tmp_path / "out", 0, 1)
    (tmp_path / "out" / "fox-1-1.png").unlink()
    (tmp_path / "out" / "stray").touch()

    told = _mended(tmp_path, "--fix")

    assert told["findings"] == [
        {"kind": "missing", "path": "fox-1-1.png", "task": "fox-1", "version": 1},
        {"kind": "extra", "path": "stray", "task": None, "version": None},
    ]
    assert told["counts"] == {"missing": 1, "extra": 1, "size": 0, "hash": 0}
    assert (told["artifacts"], told["mended"], told["rebuilt"]) == (2, 1, None)
    assert _mended(tmp_path)["counts"]["extra"] == 1
    assert (tmp_path / "out" / "stray").exists()


async def test_a_directory_that_a_run_holds_is_verified_but_not_mended(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    with locked(tmp_path):
        looked = batchgen("verify", tmp_path, cwd=tmp_path)
        mended = batchgen("verify", tmp_path, "--fix", cwd=tmp_path)
        rebuilt = batchgen("verify", tmp_path, "--rebuild", cwd=tmp_path)

    assert looked.code == 0
    assert "a run is using" in looked.err
    assert (mended.code, rebuilt.code) == (75, 75)


def test_what_is_no_output_directory_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").touch()
    for flags in ([], ["--fix"], ["--rebuild"]):
        ended = batchgen("verify", tmp_path, *flags, cwd=tmp_path)
        assert ended.code == 2
        assert "not an output directory" in ended.err
    assert batchgen("verify", "nowhere", cwd=tmp_path).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]


async def test_a_ledger_that_cannot_be_used_is_told_with_what_helps(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    with ledger_path(tmp_path).open("rb+") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    damaged = batchgen("verify", tmp_path, "--fix", cwd=tmp_path)
    ledger_path(tmp_path).unlink()
    lost = batchgen("verify", tmp_path, cwd=tmp_path)

    assert (damaged.code, lost.code) == (4, 4)
    assert "--rebuild" in damaged.err
    assert "--rebuild" in lost.err
