"""What is counted of a job and of one of its runs."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Self

import msgspec

from batchgen.text import show_count, show_money
from batchgen.types import Json, Outcome, Status

_ENDED = ("succeeded", "failed", "refused", "unknown", "skipped")


class Spend(msgspec.Struct, frozen=True):
    """What was spent, as far as it is known.

    usd: the sum of the known prices.
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
        return f"at least {show_money(self.usd)}, {count} of unknown price"

    def to_json(self) -> dict[str, Json]:
        """`cost_usd` is null where no price at all is known."""
        unknown = self.unpriced and not self.usd
        return {"cost_usd": None if unknown else round(self.usd, 6), "unpriced": self.unpriced}


class JobCounts(msgspec.Struct, frozen=True):
    """Tasks of a job, over all runs, by status.

    pending_paid: those of the pending that are paid for, which the next run only fetches.
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
        """Counts by status; what has none of those that end a task is pending."""
        ended = {name: counts.get(name, 0) for name in _ENDED}
        pending = total - sum(ended.values())
        return cls(total, **ended, pending=pending, pending_paid=pending_paid)

    def to_json(self) -> dict[str, Json]:
        """A count under each status's name."""
        return msgspec.structs.asdict(self)


class RunCounts(msgspec.Struct):
    """What one run did, counted while it goes on.

    started_at, finished_at: UTC. duration_s: by a monotonic clock. The last two are set at the end.
    submitted: those of the pending that the provider works on.
    not_started: tasks that were not started when the run stopped.
    requests: sent to the provider, every attempt counted.
    cost_usd: the sum of the known prices. unpriced: results of unknown price.
    found_unknown: tasks whose outcome was unknown when the run began.
    settled: those of them that the provider's usage log listed.
    resent: those of them that were sent again under the same key.
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

    def add(self, outcome: Outcome) -> None:
        """Count an outcome."""
        name = str(outcome.status)
        if name in _ENDED:
            setattr(self, name, getattr(self, name) + 1)
        else:
            self.pending += 1
            self.submitted += outcome.status is Status.SUBMITTED
        self.cost_usd += outcome.cost_usd or 0.0
        self.unpriced += outcome.status is Status.SUCCEEDED and outcome.cost_usd is None

    def ended(self) -> dict[str, int]:
        """Return the outcomes by status, without those of tasks that are still pending."""
        return {name: getattr(self, name) for name in _ENDED}

    @property
    def spend(self) -> Spend:
        """What this run spent."""
        return Spend(self.cost_usd, self.unpriced)

    def to_json(self) -> dict[str, Json]:
        """The `run` object of `summary.json`; times are ISO 8601 in UTC."""
        return {
            **self.ended(),
            "found_unknown": self.found_unknown,
            "settled": self.settled,
            "resent": self.resent,
            "requests": self.requests,
            "started_at": self.started_at.astimezone(UTC).isoformat(),
            "finished_at": self.finished_at.astimezone(UTC).isoformat(),
            "duration_s": round(self.duration_s, 3),
            **self.spend.to_json(),
        }
