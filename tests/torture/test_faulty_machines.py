"""Faults of the machine: the message says what to do, nothing is lost, the next run continues."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.command import results
from tests.given import until
from tests.torture.families import URLS
from tests.torture.fault import Fault
from tests.torture.machine import Machine
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Job, Launcher, make_job

_OTHER_USER = 65534
_LEDGER = ".batchgen/ledger.sqlite3"


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def small_job(folder: Path, launcher: Launcher, provider: Provider) -> Job:
    return make_job(folder, launcher, provider, rows=6, workers=2, seed=3)


@pytest.mark.parametrize(
    ("machine", "message"),
    [
        (Machine(max_file_bytes=0), ""),  # a log file has no room either
        (Machine(max_file_bytes=20_000), "check the disk"),
        (Machine(max_file_bytes=80_000), "free space"),
        (Machine(max_open_files=14), "ulimit -n"),
    ],
    ids=repr,
)
async def test_a_full_disk_or_too_few_open_files_end_the_run_and_the_next_one_continues(
    machine: Machine, message: str, tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(seed=3) as provider:
        job = small_job(tmp_path, launcher, provider)

        assert await job.run(machine=machine) == 4
        assert message in job.take_log()

        await job.finish_and_check()
        assert provider.duplicates == 0


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A separate file system that is too small for the job."""
    disk = tmp_path / "disk"
    disk.mkdir()
    if _mount("-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)):
        pytest.skip("needs a separate file system: run as root with permission to mount")
    yield disk
    subprocess.run(["umount", disk], check=True)


def _mount(*words: str) -> int:
    return subprocess.run(["mount", *words], check=False, capture_output=True).returncode


@pytest.mark.torture
@pytest.mark.parametrize("kilobytes", [8, 40, 100, 140, 160, 200, 260, 300, 400, 500, 700, 900])
async def test_a_disk_of_any_size_that_is_full_loses_nothing(
    kilobytes: int, tmp_path: Path, small_disk: Path, launcher: Launcher
) -> None:
    async with Provider(seed=3) as provider:
        (small_disk / "log").symlink_to(tmp_path / "log")
        job = make_job(small_disk, launcher, provider, rows=12, workers=4, seed=3)
        assert _mount("-o", f"remount,size={kilobytes}k", str(small_disk)) == 0

        assert [await job.run(), await job.run()] == [4, 4]

        assert (tmp_path / "log").read_text().count("free space") == 2
        assert _mount("-o", "remount,size=20m", str(small_disk)) == 0
        (tmp_path / "log").unlink()
        await job.finish_and_check()
        assert provider.duplicates == 0


async def test_a_run_with_few_open_files_lowers_its_concurrency(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider() as provider:
        job = small_job(tmp_path, launcher, provider)
        assert await job.run(machine=Machine(max_open_files=40)) == 0


async def test_a_clock_that_was_set_back_changes_nothing(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider() as provider:
        job = small_job(tmp_path, launcher, provider)
        assert await job.run("--limit", "3") == 0
        assert await job.run(machine=Machine(clock_behind_s=3 * 86400.0)) == 0
        assert all(line["duration_s"] >= 0 for line in results(job.out))
        await job.finish_and_check()
        assert len(provider.generations) == 6


async def test_without_hard_links_an_orphan_stays_and_verify_reports_it(
    tmp_path: Path, launcher: Launcher
) -> None:
    exfat = Machine(hard_links=False)
    placed = Fault("batchgen.storage.artifacts:LocalStore._place", 2, after=True)
    async with Provider(honours_keys=False) as provider:
        job = make_job(tmp_path, launcher, provider, rows=3, workers=1, families=[URLS])
        assert await job.run(machine=exfat, fault=placed) == KILLED

        assert await job.run(machine=exfat) == 0

        assert [line["artifacts"][0]["path"] for line in results(job.out)] == [
            "t0-1.png", "t1-1~2.png", "t2-1.png"
        ]  # fmt: skip
        assert provider.duplicates == 0
        assert await job.verify() == 1
        assert "extra    t1-1.png" in job.take_log()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user's rights: run as root")
async def test_a_directory_without_write_permission_is_reported(
    folder: Path, launcher: Launcher
) -> None:
    async with Provider() as provider:
        job = small_job(folder, launcher, provider)
        (folder / "log").touch(0o666)
        job.out.mkdir(0o755)

        assert await job.run(machine=Machine(user_id=_OTHER_USER)) == 4

        assert "fix the permissions" in job.take_log()
        assert provider.generations == {}
        await job.finish_and_check()


@pytest.mark.parametrize("name", ["", ".batchgen", ".batchgen/tmp"])
async def test_a_file_in_place_of_a_folder_is_reported_and_left_unchanged(
    name: str, tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider() as provider:
        job = small_job(tmp_path, launcher, provider)
        obstacle = job.out / name
        obstacle.parent.mkdir(parents=True, exist_ok=True)
        obstacle.write_text("mine")

        assert await job.run() == 4

        assert "move away what is in its place" in job.take_log()
        assert (obstacle.read_text(), provider.generations) == ("mine", {})
        obstacle.unlink()
        await job.finish_and_check()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("results.jsonl", "move away what is in its place"),
        ("summary.json", "move away what is in its place"),
        (_LEDGER, "check the disk and the permissions"),
        (".batchgen/lock", "move away what is in its place"),
        (".batchgen/identity", "move away what is in its place"),
    ],
)
async def test_a_folder_in_place_of_a_file_is_reported(
    name: str, message: str, tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(honours_keys=False) as provider:
        job = small_job(tmp_path, launcher, provider)
        (job.out / name).mkdir(parents=True)

        assert await job.run() == 4

        assert message in job.take_log()
        (job.out / name).rmdir()
        await job.finish_and_check()
        assert provider.duplicates == 0


def _garbage(ledger: Path) -> None:
    ledger.write_bytes(b"no database" * 1000)


def _torn(ledger: Path) -> None:
    ledger.write_bytes(ledger.read_bytes()[: 3 * 4096])


def _foreign(ledger: Path) -> None:
    ledger.unlink()
    with closing(sqlite3.connect(ledger)) as other:
        other.execute("CREATE TABLE songs (name TEXT)")


def _newer(ledger: Path) -> None:
    with closing(sqlite3.connect(ledger)) as db:
        db.execute("PRAGMA user_version = 999")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_garbage, "verify out --rebuild"),
        (_torn, "verify out --rebuild"),
        (_foreign, "is not a batchgen ledger"),
        (_newer, "upgrade batchgen"),
    ],
)
async def test_a_ledger_that_is_damaged_or_foreign_stops_the_run_before_anything_is_sent(
    damage: Callable[[Path], None], message: str, tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(honours_keys=False) as provider:
        job = small_job(tmp_path, launcher, provider)
        assert await job.run("--limit", "3") == 0
        ledger = job.out / _LEDGER
        intact = ledger.read_bytes()
        damage(ledger)
        damaged = ledger.read_bytes()

        assert await job.run() == 4

        assert message in job.take_log()
        assert ledger.read_bytes() == damaged
        assert len(provider.generations) == 3
        ledger.write_bytes(intact)
        await job.finish_and_check()
        assert (len(provider.generations), provider.duplicates) == (6, 0)


async def _start_and_wait(job: Job, *, generations: int) -> "asyncio.Task[int]":
    """Start a run; wait until the provider has made that many generations."""
    running = asyncio.create_task(job.run())
    await until(lambda: len(job.provider.generations) >= generations)
    return running


async def test_a_directory_that_is_moved_away_ends_the_run_and_comes_back_whole(
    tmp_path: Path, launcher: Launcher
) -> None:
    async with Provider(latency_s=0.01) as provider:
        job = small_job(tmp_path, launcher, provider)
        running = await _start_and_wait(job, generations=3)
        job.out.rename(tmp_path / "elsewhere")

        assert await running == 4

        assert "put the output directory back" in job.take_log()
        shutil.rmtree(job.out, ignore_errors=True)
        (tmp_path / "elsewhere").rename(job.out)
        await job.finish_and_check()
        assert provider.duplicates == 0


async def test_a_directory_that_is_deleted_ends_the_run(tmp_path: Path, launcher: Launcher) -> None:
    async with Provider(latency_s=0.01) as provider:
        job = small_job(tmp_path, launcher, provider)
        running = await _start_and_wait(job, generations=3)
        job.out.rename(tmp_path / "gone")
        shutil.rmtree(tmp_path / "gone")

        assert await running == 4

        assert "put the output directory back" in job.take_log()
        await job.finish_and_check()
