"""Refusals that do not depend on the rate, in virtual time."""

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace

import pytest

from tests.engine.throttle.servers import (
    ConcurrencyLimit,
    RandomRefusals,
    Report,
    Server,
    TokenBucket,
    Trial,
)
from tests.engine.throttle.virtual import run_virtually

WORKERS = 32
NO_LIMIT = Trial(ConcurrencyLimit(((0, WORKERS),)), seconds=300, workers=WORKERS, latency_s=5)


def refusing(server: Server, share: float, after_s: float | None = None) -> RandomRefusals:
    return RandomRefusals(server, share, after_s, random.Random(2))  # noqa: S311  # no secret


def run_trial(name: str, trial: Trial) -> Report:
    report = run_virtually(trial.run())
    print(f"{name}: {report}")  # noqa: T201  # the figures that docs/pacing.md quotes
    return report


@pytest.mark.parametrize(("share", "min_used"), [(0.02, 0.85), (0.1, 0.85), (0.3, 0.45)])
def test_refusals_at_any_rate_do_not_slow_the_run_down(share: float, min_used: float) -> None:
    trial = replace(NO_LIMIT, server=refusing(ConcurrencyLimit(((0, WORKERS),)), share))
    assert run_trial(f"no limit, {share:.0%} refused", trial).utilisation >= min_used


@pytest.mark.parametrize(("share", "min_used"), [(0.02, 0.75), (0.1, 0.6)])
def test_refusals_that_ask_for_a_wait_are_detected_later(share: float, min_used: float) -> None:
    trial = replace(NO_LIMIT, server=refusing(ConcurrencyLimit(((0, WORKERS),)), share, 1.0))
    assert run_trial(f"no limit, {share:.0%} refused for a second", trial).utilisation >= min_used


@pytest.mark.parametrize(
    "server",
    [
        TokenBucket(((0, 4.0),), 4),
        TokenBucket(((0, 2.0),), 10, sends_wait=False),
        TokenBucket(((0, 1.0),), 60),
    ],
    ids=str,
)
def test_a_real_limit_is_found_in_spite_of_false_alarms(server: TokenBucket) -> None:
    report = run_trial(f"{server}, 2% refused", Trial(refusing(server, 0.02), 1800))
    assert report.utilisation >= 0.85
    assert report.waste <= 0.15


def test_after_a_wait_requests_are_not_sent_all_at_once() -> None:
    server = refusing(TokenBucket(((0, 10.0),), 10), 0.1, 1.0)
    trial = Trial(server, 120, workers=64, latency_s=0.1)
    assert run_trial("10 per second, 10% refused for a second", trial).waste <= 0.25


def test_a_concurrency_limit_is_found_in_spite_of_false_alarms() -> None:
    report = run_trial(
        "16 in flight, 2% refused", Trial(refusing(ConcurrencyLimit(((0, 16),)), 0.02), 1800)
    )
    assert report.utilisation >= 0.6


@dataclass
class RefusalsUntil(RandomRefusals):
    """Refuses at random until a given time only."""

    until: float = 600

    def receive(self, now: float) -> Mapping[str, str] | None:
        return super().receive(now) if now < self.until else self.server.receive(now)


def test_when_false_alarms_end_a_real_limit_is_kept_again() -> None:
    server = RefusalsUntil(TokenBucket(((0, 4.0),), 4), 0.1)
    report = run_trial("4 per second, 10% refused for ten minutes", Trial(server, 3600))
    assert report.utilisation >= 0.9
    assert report.waste <= 0.1
