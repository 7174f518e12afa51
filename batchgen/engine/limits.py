"""What holds a run back, and how its limits change while it runs (SIGUSR1)."""

import asyncio
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from batchgen.engine.clock import Clock
from batchgen.engine.request import Reread
from batchgen.engine.stop import Stop
from batchgen.engine.throttle import Budget, Throttle, UnknownSpend
from batchgen.engine.throttle.shared_budget import SharedBudget
from batchgen.errors import BatchgenError
from batchgen.job import Job, Limits, Period, SharedBudgetSettings
from batchgen.manifest.problems import RejectedError
from batchgen.progress import Progress
from batchgen.provider.pricing import Prices
from batchgen.types import Record


class LiveLimits(msgspec.Struct, frozen=True):
    """The throttle and the budget of a run.

    reread: reads the job file anew. workers: requests that can be in flight at all.
    """

    throttle: Throttle
    budget: Budget
    progress: Progress
    reload_job: Reread
    workers: int

    def holding(self, in_flight: int) -> str | None:
        """What holds the run back at this moment, in words; in_flight: tasks under way."""
        if self.budget.is_waited_for():
            return "the budget"
        if (reason := self.throttle.bottleneck()) is not None:
            return reason
        return f"concurrency {self.workers}" if in_flight >= self.workers else None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the limits of the job file anew whenever SIGUSR1 comes."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.refresh)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    def refresh(self) -> None:
        """Read the limits anew; a file that is wrong is told and changes nothing."""
        try:
            manifest = self.reload_job()
            if manifest.problems:
                raise RejectedError(manifest.problems)
        except BatchgenError as error:
            self.progress.log(f"the limits stay as they are: {error}")
            return
        limits = manifest.job.limits
        self.throttle.set_limits(limits.of_model)
        self.budget.set_max_cost(limits.max_cost_usd)
        self.progress.log(f"limits read anew: {_told(limits, self.workers)}")


def _told(limits: Limits, workers: int) -> str:
    rpm = f"{limits.rpm:g}" if limits.rpm else "none"
    cost = f"${limits.max_cost_usd:.2f}" if limits.max_cost_usd else "none"
    most = f" (this run began with {workers})" if limits.concurrency > workers else ""
    return f"rpm {rpm}, concurrency {limits.concurrency}{most}, max_cost {cost}"


def unknown_spend_of(records: Iterable[Record], prices: Prices) -> UnknownSpend:
    """What tasks of an unknown outcome may have cost, beyond what their requests told."""
    tasks, usd = 0, 0.0
    for record in records:
        price = prices.of(record.task) or 0.0
        tasks += 1
        usd += max(0.0, price - (record.outcome.cost_usd or 0.0))
    return UnknownSpend(tasks, usd)


def make_budget(
    job: Job, *, spent_usd: float, unknown_spend: UnknownSpend, shared_budget: SharedBudget | None
) -> Budget:
    """The bounds of a job on money and requests."""
    shared = None
    if shared_budget is not None:
        shared = shared_budget, told_budget(shared_budget.budget)
    return Budget(
        max_cost_usd=job.limits.max_cost_usd,
        max_requests=job.limits.max_requests,
        spent_usd=spent_usd,
        unknown_spend=unknown_spend,
        shared=shared,
    )


def told_budget(budget: SharedBudgetSettings) -> str:
    """What a shared budget is called in messages."""
    period = "" if budget.per is Period.TOTAL else f" a {budget.per} (UTC)"
    return f"the budget of ${budget.usd:.2f}{period} in {budget.path}"


def make_throttle(job: Job, stop: Stop, clock: Clock) -> Throttle:
    """The gates of a job's models."""
    return Throttle(
        bounds=job.limits.of_model,
        monotonic=clock.monotonic,
        sleep=stop.sleep,
        stopping=stop.is_set,
    )


@contextmanager
def open_shared_budget(
    job: Job, clock: Clock, identity: str, unknown_spend: UnknownSpend
) -> Iterator[SharedBudget | None]:
    """The budget that the job shares with others, if it names one.

    identity: of the job's ledger.
    """
    if job.budget is None:
        yield None
        return
    with SharedBudget(job.budget, clock.now, identity) as shared_budget:
        shared_budget.recover(unknown_spend.usd)
        yield shared_budget
