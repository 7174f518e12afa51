"""Refusals that come at any pace, in minutes that pass at once."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from tests.engine.throttle.servers import Bucket, Crowd, Moody, Report, Server, Trial
from tests.engine.throttle.virtual import run_virtually

WORKERS = 32
OPEN = Trial(Crowd(((0, WORKERS),)), seconds=300, workers=WORKERS, latency_s=5)


def moody(server: Server, share: float, after_s: float | None = None) -> Moody:
    return Moody(server, share, after_s, random.Random(2))  # noqa: S311  # no secret


def ran(name: str, trial: Trial) -> Report:
    report = run_virtually(trial.run())
    print(f"{name}: {report}")  # noqa: T201  # the figures that docs/pacing.md quotes
    return report


@pytest.mark.parametrize(("share", "least"), [(0.02, 0.85), (0.1, 0.85), (0.3, 0.45)])
def test_refusals_at_any_pace_do_not_slow_the_run_down(share: float, least: float) -> None:
    trial = replace(OPEN, server=moody(Crowd(((0, WORKERS),)), share))
    assert ran(f"open, {share:.0%} refused", trial).utilisation >= least


@pytest.mark.parametrize(("share", "least"), [(0.02, 0.75), (0.1, 0.6)])
def test_those_that_ask_for_a_wait_are_seen_through_later(share: float, least: float) -> None:
    trial = replace(OPEN, server=moody(Crowd(((0, WORKERS),)), share, 1.0))
    assert ran(f"open, {share:.0%} refused for a second", trial).utilisation >= least


@pytest.mark.parametrize(
    "server",
    [Bucket(((0, 4.0),), 4), Bucket(((0, 2.0),), 10, told=False), Bucket(((0, 1.0),), 60)],
    ids=str,
)
def test_a_true_limit_behind_strays_is_found_all_the_same(server: Bucket) -> None:
    report = ran(f"{server}, 2% refused", Trial(moody(server, 0.02), 1800))
    assert report.utilisation >= 0.85
    assert report.waste <= 0.15


def test_after_a_wait_all_who_waited_do_not_come_at_once() -> None:
    server = moody(Bucket(((0, 10.0),), 10), 0.1, 1.0)
    trial = Trial(server, 120, workers=64, latency_s=0.1)
    assert ran("10 a second, 10% refused for a second", trial).waste <= 0.25


def test_many_at_once_are_found_behind_strays_too() -> None:
    report = ran("16 in flight, 2% refused", Trial(moody(Crowd(((0, 16),)), 0.02), 1800))
    assert report.utilisation >= 0.6


@dataclass
class Calmed(Moody):
    """Has no more moods from a moment on."""

    until: float = 600

    def take(self, now: float) -> Mapping[str, str] | None:
        return super().take(now) if now < self.until else self.server.take(now)


def test_where_strays_have_ended_a_true_limit_is_kept_to_again() -> None:
    server = Calmed(Bucket(((0, 4.0),), 4), 0.1)
    report = ran("4 a second, 10% refused for ten minutes", Trial(server, 3600))
    assert report.utilisation >= 0.9
    assert report.waste <= 0.1
