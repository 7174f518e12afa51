"""The counts and the spend of a job and of one run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import msgspec

from batchgen.text import show_count, show_money
from batchgen.types import Json, Outcome, Status

_TERMINAL = ("succeeded", "failed", "refused", "unknown", "skipped")


class Spend(msgspec.Struct, frozen=True):
    """An amount of money; prices of some results may be unknown.

    usd: the sum of the known prices, in US dollars.
    unpriced: results of unknown price.
    """

    usd: float = 0.0
    unpriced: int = 0

    def __str__(self) -> str:
        if not self.unpriced:
            return show_money(self.usd)
        if not self.usd:
            return show_money(None)
        count = show_count(self.unpriced)
        noun = "price" if self.unpriced == 1 else "prices"
        return f"at least {show_money(self.usd)} ({count} {noun} unknown)"

    def to_json(self) -> dict[str, Json]:
        """Return `cost_usd`, null if no price at all is known, and `unpriced`."""
        unknown = self.unpriced and not self.usd
        return {"cost_usd": None if unknown else round(self.usd, 6), "unpriced": self.unpriced}


class JobCounts(msgspec.Struct, frozen=True):
    """Tasks of a job, over all runs, by status.

    pending_paid: pending tasks that are paid for already; the next run only fetches their results.
    """

    total: int
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0
    skipped: int = 0
    pending: int = 0
    pending_paid: int = 0

    @classmethod
    def of(cls, total: int, counts: Mapping[str, int], *, pending_paid: int = 0) -> Self:
        """Return the counts by status; tasks without a terminal status count as pending."""
        terminal = {name: counts.get(name, 0) for name in _TERMINAL}
        pending = total - sum(terminal.values())
        return cls(total, **terminal, pending=pending, pending_paid=pending_paid)

    def to_json(self) -> dict[str, Json]:
        """Return each count under its name."""
        return msgspec.structs.asdict(self)


class RunCounts(msgspec.Struct):
    """What one run did, counted while it works.

    started_at, finished_at: UTC. duration_s: by a monotonic clock.
    finished_at and duration_s are set when the run ends.
    submitted: pending tasks that the provider works on.
    not_started: tasks that were not started when the run stopped.
    requests: sent to the provider, including every retry.
    cost_usd: the sum of the known prices. unpriced: results of unknown price.
    found_unknown: tasks whose outcome was unknown when the run began.
    settled: those of them that are listed in the provider's usage log.
    resent: requests sent again, with the same idempotency key, that may have been charged before.
    possibly_charged_usd: the price of requests of this run that brought no result.
    """

    started_at: datetime
    finished_at: datetime
    duration_s: float = 0.0
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    unknown: int = 0
    skipped: int = 0
    pending: int = 0
    submitted: int = 0
    not_started: int = 0
    requests: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    found_unknown: int = 0
    settled: int = 0
    resent: int = 0
    possibly_charged_usd: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Count an outcome and its cost."""
        name = str(outcome.status)
        if name in _TERMINAL:
            setattr(self, name, getattr(self, name) + 1)
        else:
            self.pending += 1
            self.submitted += outcome.status is Status.SUBMITTED
        self.cost_usd += outcome.cost_usd or 0.0
        self.unpriced += outcome.status is Status.SUCCEEDED and outcome.cost_usd is None

    def terminal(self) -> dict[str, int]:
        """Return the counts by terminal status, without pending tasks."""
        return {name: getattr(self, name) for name in _TERMINAL}

    @property
    def spend(self) -> Spend:
        """Return what this run spent."""
        return Spend(self.cost_usd, self.unpriced)

    def to_json(self) -> dict[str, Json]:
        """Return the `run` object of `summary.json`; times are ISO 8601 in UTC."""
        return {
            **self.terminal(),
            "found_unknown": self.found_unknown,
            "settled": self.settled,
            "resent": self.resent,
            "requests": self.requests,
            "started_at": self.started_at.astimezone(UTC).isoformat(),
            "finished_at": self.finished_at.astimezone(UTC).isoformat(),
            "duration_s": round(self.duration_s, 3),
            **self.spend.to_json(),
            "possibly_charged_usd": round(self.possibly_charged_usd, 6),
        }
