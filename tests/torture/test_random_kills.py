"""Runs that are killed from outside, at any instant whatever, and run again."""

import random
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.torture.families import OTHERS, Family
from tests.torture.provider import Provider
from tests.torture.runs import KILLED, Launcher, a_job

_WORKERS = 4
_TASKS = 40
_LATENCY_S = 0.01
_LONGEST_S = 0.35  # a run that nobody kills takes a little longer


@pytest.mark.parametrize(
    ("seed", "kills", "images", "honours_keys"),
    [(1, 6, 1, True), (2, 6, 2, False)],
    ids=["keys", "no keys"],
)
async def test_killed_at_random_and_run_again(
    *, seed: int, kills: int, images: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _torture(
        tmp_path, launcher, seed=seed, kills=kills, images=images, honours_keys=honours_keys
    )


@pytest.mark.parametrize(("seed", "honours_keys"), [(3, True), (4, False)], ids=["keys", "no keys"])
async def test_a_job_of_all_families_killed_at_random_and_run_again(
    *, seed: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _torture_all_families(tmp_path, launcher, seed=seed, kills=6, honours_keys=honours_keys)


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("seed", range(10, 30))
async def test_killed_at_random_a_dozen_times(
    *, seed: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    images = 1 + seed % 2
    await _torture(
        tmp_path, launcher, seed=seed, kills=12, images=images, honours_keys=honours_keys
    )


@pytest.mark.torture
@pytest.mark.parametrize("honours_keys", [True, False], ids=["keys", "no keys"])
@pytest.mark.parametrize("seed", range(30, 50))
async def test_a_job_of_all_families_killed_at_random_a_dozen_times(
    *, seed: int, honours_keys: bool, tmp_path: Path, launcher: Launcher
) -> None:
    await _torture_all_families(tmp_path, launcher, seed=seed, kills=12, honours_keys=honours_keys)


async def _torture_all_families(
    folder: Path, launcher: Launcher, *, seed: int, kills: int, honours_keys: bool
) -> None:
    """One manifest, whose rows are of each family in turn."""
    await _torture(
        folder, launcher, seed=seed, kills=kills, images=1, honours_keys=honours_keys,
        families=OTHERS,
    )  # fmt: skip


async def _torture(
    folder: Path, launcher: Launcher, *, seed: int, kills: int, images: int, honours_keys: bool,
    families: Sequence[Family] = (),
) -> None:  # fmt: skip
    dice = random.Random(seed)  # noqa: S311  # which instants, not a secret
    async with Provider(honours_keys=honours_keys, latency_s=_LATENCY_S, seed=seed) as provider:
        job = a_job(
            folder, launcher, provider,
            tasks=_TASKS, workers=_WORKERS, images=images, seed=seed, families=families,
        )  # fmt: skip
        killed = 0
        for _ in range(kills):
            kill_after_s = dice.uniform(0.0, _LONGEST_S)
            killed += await job.run(kill_after_s=kill_after_s) == KILLED

        await job.finish()

        assert await job.verify() == 0
        assert killed > 0
        assert provider.doubles <= (0 if honours_keys else _WORKERS * killed)
