"""Comparing the ledger with the files: what is found, and what `--fix` changes."""

import errno
import hashlib
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
from batchgen.storage.files import stays_inside
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.inventory import Inventory
from batchgen.storage.verify import Verification
from batchgen.types import Outcome, Status, TaskError
from tests.e2e.command import batchgen, results
from tests.e2e.simulated import simulate, stats
from tests.given import a_ledger, a_task, succeeded
from tests.outputs import (
    a_named_task,
    an_image,
    an_output,
    finding_lines,
    findings,
    names,
    record_task,
    records,
)

KEY: dict[str, Any] = {"AIMLAPI_API_KEY": "sk-canary-7731"}
SIZE = ("--set", "size=256x256")


async def test_a_directory_after_a_run_has_no_findings(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    (tmp_path / "summary.json").touch()
    (tmp_path / "report.html").touch()
    assert finding_lines(tmp_path) == []


async def test_each_kind_of_damage_is_reported_with_its_file_and_task(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2, 3)
    (tmp_path / "fox-0-1.png").unlink()
    with (tmp_path / "fox-1-1.png").open("ab") as longer:
        longer.write(b"x")
    with (tmp_path / "fox-2-1.png").open("rb+") as other:
        other.seek(20)
        other.write(b"\xff")
    (tmp_path / "cats").mkdir()
    (tmp_path / "cats" / "stray.txt").touch()

    assert finding_lines(tmp_path) == [
        "extra    cats/stray.txt",
        "hash     fox-2-1.png (task fox-2)",
        "missing  fox-0-1.png (task fox-0)",
        "size     fox-1-1.png (task fox-1)",
    ]


async def test_anything_but_a_regular_file_counts_as_missing(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1, 2)
    for number in range(3):
        (tmp_path / f"fox-{number}-1.png").unlink()
    (tmp_path / "fox-0-1.png").mkdir()
    (tmp_path / "fox-1-1.png").symlink_to("fox-1-1.png")
    os.mkfifo(tmp_path / "fox-2-1.png")

    kinds = {str(finding.kind) for finding in findings(tmp_path) if finding.stored}
    assert kinds == {"missing"}
    assert finding_lines(tmp_path, fix=True)  # none of them is in the way of anything
    assert (tmp_path / "fox-0-1.png").is_dir()


async def test_a_file_that_the_disk_cannot_read_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_output(tmp_path, 0)

    def unreadable(*_: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(hashlib, "file_digest", unreadable)
    assert finding_lines(tmp_path) == ["hash     fox-0-1.png (task fox-0)"]


async def test_a_file_without_read_permission_is_an_error_and_not_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await an_output(tmp_path, 0)

    def forbidden(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(hashlib, "file_digest", forbidden)
    with pytest.raises(StorageError, match=r"fox-0-1\.png \(Permission denied\).*permissions"):
        finding_lines(tmp_path)


async def test_a_name_that_is_not_utf8_is_extra(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    (tmp_path / os.fsdecode(b"caf\xe9.png")).touch()

    ended = batchgen("verify", tmp_path, cwd=tmp_path)

    assert (ended.code, ended.out) == (1, "extra    caf\\udce9.png\n")


async def test_damage_of_an_earlier_version_is_reported_and_not_repaired(tmp_path: Path) -> None:
    with a_ledger(tmp_path) as ledger:
        await record_task(ledger, a_task(), succeeded(an_image(tmp_path, 0)))
        newer = succeeded(an_image(tmp_path, 0, suffix=".v2"))
        await record_task(ledger, a_task(digest="e" * 32), newer, generation=2)
    (tmp_path / "fox-0-1.png").unlink()

    expected = ["missing  fox-0-1.png (task fox-0, version 1)"]
    assert finding_lines(tmp_path, fix=True) == expected
    assert finding_lines(tmp_path) == expected
    assert [record.outcome.status for record in records(tmp_path)] == [Status.SUCCEEDED]


async def test_fix_makes_a_damaged_task_pending_in_the_same_generation(tmp_path: Path) -> None:
    await an_output(tmp_path, 0, 1)
    (tmp_path / "fox-1-1.png").write_bytes(b"other bytes")

    finding_lines(tmp_path, fix=True)

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
    (tmp_path / "fox-0-2.png").write_bytes(b"other bytes")
    (tmp_path / "fox-0-2.png.damaged").write_bytes(b"of an earlier repair")

    assert len(finding_lines(tmp_path, fix=True)) == 2

    assert finding_lines(tmp_path) == []
    assert (tmp_path / "fox-0-2.png.damaged").read_bytes() == b"of an earlier repair"
    assert (tmp_path / "fox-0-2.png.2.damaged").read_bytes() == b"other bytes"
    assert (tmp_path / "fox-0-3.png.damaged").read_bytes() == whole
    assert [name for name in names(tmp_path) if name.endswith(".png")] == []


async def test_fix_leaves_failed_tasks_failed(tmp_path: Path) -> None:
    error = TaskError("expired", None, "gone")
    kept, lost = an_image(tmp_path, 0, 1), an_image(tmp_path, 0, 2)
    with a_ledger(tmp_path) as ledger:
        await record_task(
            ledger, a_task(), Outcome(Status.FAILED, artifacts=(kept, lost), error=error)
        )
    (tmp_path / lost.path).unlink()

    assert len(finding_lines(tmp_path, fix=True)) == 1

    (record,) = records(tmp_path)
    assert (record.outcome.status, record.outcome.artifacts) == (Status.FAILED, (kept,))
    assert finding_lines(tmp_path) == []


async def test_all_tasks_are_checked_if_they_fill_several_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("batchgen.storage.ledger.inventory.TASKS_PER_QUERY", 2)
    monkeypatch.setattr(verify, "_MAX_AHEAD", 2)
    monkeypatch.setattr(verify, "_PATHS_PER_QUERY", 2)
    await an_output(tmp_path, *range(7), each=2)
    for number in range(7):
        (tmp_path / f"fox-{number}-2.png").unlink()

    with Inventory(ledger_path(tmp_path)) as inventory:
        verification = Verification(tmp_path, inventory, fix=True)
        paths = [finding.path for finding in verification.findings()]

    assert paths == [f"fox-{number}-2.png" for number in range(7)]
    assert (verification.artifacts, verification.repaired) == (14, 7)
    assert finding_lines(tmp_path) == []


_DAMAGE = st.dictionaries(
    st.integers(0, 5), st.sampled_from(["missing", "size", "hash"]), max_size=6
)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(damage=_DAMAGE)
async def test_any_damage_is_found_and_repaired(
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

    reported = [(finding.path, str(finding.kind)) for finding in findings(directory, fix=True)]

    assert reported == [(f"fox-{number}-1.png", damage[number]) for number in sorted(damage)]
    assert finding_lines(directory) == []


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x.png", "a/../../x.png", ".batchgen/x.png", "a//b.png", "a\\b", ""]
)
def test_a_path_outside_of_the_directory_is_recognised(path: str) -> None:
    assert not stays_inside(path)
    assert stays_inside("cats/001.v2~3.png")


# Through the installed command.


def _run(base_url: str, cwd: Path) -> int:
    words = ["run", "m.csv", "--base-url", base_url, "--model", "dall-e-2", "-o", "out"]
    return batchgen(*words, *SIZE, cwd=cwd, **KEY).code


def _verified(cwd: Path, *flags: str) -> dict[str, Any]:
    output: dict[str, Any] = json.loads(batchgen("verify", "out", "--json", *flags, cwd=cwd).out)
    return output


def test_a_repaired_directory_is_complete_after_a_run_and_nothing_is_paid_for_twice(
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
        statistics = stats(base_url)

    assert (statistics["generations"], statistics["double_generations"]) == (8, 0)
    after = batchgen("verify", "out", cwd=tmp_path)
    assert (after.code, after.out) == (0, "")
    assert "no problems found" in after.err
    same = [line["artifacts"] for line in results(tmp_path / "out")]
    assert same == [line["artifacts"] for line in before]


async def test_verify_prints_one_json_object(tmp_path: Path) -> None:
    await an_output(tmp_path / "out", 0, 1)
    (tmp_path / "out" / "fox-1-1.png").unlink()
    (tmp_path / "out" / "stray").touch()

    output = _verified(tmp_path, "--fix")

    assert output["findings"] == [
        {"kind": "missing", "path": "fox-1-1.png", "task": "fox-1", "version": 1},
        {"kind": "extra", "path": "stray", "task": None, "version": None},
    ]
    assert output["counts"] == {"missing": 1, "extra": 1, "size": 0, "hash": 0}
    assert (output["artifacts"], output["mended"], output["rebuilt"]) == (2, 1, None)
    assert _verified(tmp_path)["counts"]["extra"] == 1
    assert (tmp_path / "out" / "stray").exists()


async def test_a_directory_that_a_run_uses_is_verified_but_not_repaired(tmp_path: Path) -> None:
    await an_output(tmp_path, 0)
    with locked(tmp_path):
        plain = batchgen("verify", tmp_path, cwd=tmp_path)
        fixed = batchgen("verify", tmp_path, "--fix", cwd=tmp_path)
        rebuilt = batchgen("verify", tmp_path, "--rebuild", cwd=tmp_path)

    assert plain.code == 0
    assert "a run is using" in plain.err
    assert (fixed.code, rebuilt.code) == (75, 75)


def test_a_directory_without_a_ledger_is_an_error_and_left_unchanged(tmp_path: Path) -> None:
    (tmp_path / "holiday.png").touch()
    for flags in ([], ["--fix"], ["--rebuild"]):
        ended = batchgen("verify", tmp_path, *flags, cwd=tmp_path)
        assert ended.code == 2
        assert "not an output directory" in ended.err
    assert batchgen("verify", "nowhere", cwd=tmp_path).code == 2
    assert [path.name for path in tmp_path.iterdir()] == ["holiday.png"]


async def test_the_error_about_an_unusable_ledger_names_the_remedy(tmp_path: Path) -> None:
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
