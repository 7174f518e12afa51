"""The throttle and the budget of a run, and how SIGUSR1 changes their limits."""

import asyncio
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import msgspec

from batchgen.engine.clock import Clock
from batchgen.engine.request import ReloadJob
from batchgen.engine.risk import unrecorded_usd
from batchgen.engine.stop import Stop
from batchgen.engine.throttle import Budget, Throttle
from batchgen.engine.throttle.shared_budget import SharedBudget
from batchgen.errors import BatchgenError
from batchgen.job import Job, Limits, Period, SharedBudgetSettings
from batchgen.manifest.problems import RejectedError
from batchgen.progress import Progress
from batchgen.provider.pricing import Prices
from batchgen.types import Record


class LiveLimits(msgspec.Struct, frozen=True):
    """The throttle and the budget of a run, with limits that can change.

    reload_job: reads the job file again. workers: the most requests that can be in flight.
    """

    throttle: Throttle
    budget: Budget
    progress: Progress
    reload_job: ReloadJob
    workers: int

    def bottleneck(self, in_flight: int) -> str | None:
        """Describe what limits the rate now; in_flight: the number of tasks in flight."""
        if self.budget.is_waited_for():
            return "the budget"
        if (reason := self.throttle.bottleneck()) is not None:
            return reason
        return f"concurrency {self.workers}" if in_flight >= self.workers else None

    @contextmanager
    def reload_on_signal(self) -> Iterator[None]:
        """Reload the limits on every SIGUSR1 until the block ends."""
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGUSR1, self.reload)
        try:
            yield
        finally:
            loop.remove_signal_handler(signal.SIGUSR1)

    def reload(self) -> None:
        """Read the limits from the job file; report an error in the file and change nothing."""
        try:
            manifest = self.reload_job()
            if manifest.problems:
                raise RejectedError(manifest.problems)
        except BatchgenError as error:
            self.progress.log(f"limits unchanged: {error}")
            return
        limits = manifest.job.limits
        self.throttle.set_limits(limits.of_model)
        self.budget.set_max_cost(limits.max_cost_usd)
        self.progress.log(f"limits reloaded: {_format_limits(limits, self.workers)}")


def _format_limits(limits: Limits, workers: int) -> str:
    rpm = f"{limits.rpm:g}" if limits.rpm else "none"
    cost = f"${limits.max_cost_usd:.2f}" if limits.max_cost_usd else "none"
    note = f" ({workers} in this run)" if limits.concurrency > workers else ""
    return f"rpm {rpm}, concurrency {limits.concurrency}{note}, max_cost {cost}"


def unrecorded_spend(records: Iterable[Record], prices: Prices) -> float:
    """Return what tasks without a known outcome may have cost, beyond the ledger's amounts."""
    return sum(unrecorded_usd(record, prices.of(record.task)) for record in records)


def make_budget(
    job: Job, *, spent_usd: float, at_risk_usd: float, shared_budget: SharedBudget | None
) -> Budget:
    """Return the budget of a job: its limits on money and requests.

    spent_usd, at_risk_usd: the cost of earlier runs, and what may have been charged besides.
    """
    shared = None
    if shared_budget is not None:
        shared = shared_budget, _describe_budget(shared_budget.budget)
    return Budget(
        max_cost_usd=job.limits.max_cost_usd,
        max_requests=job.limits.max_requests,
        spent_usd=spent_usd,
        at_risk_usd=at_risk_usd,
        shared=shared,
    )


def _describe_budget(budget: SharedBudgetSettings) -> str:
    period = "" if budget.per is Period.TOTAL else f" per {budget.per} (UTC)"
    return f"the budget of ${budget.usd:.2f}{period} in {budget.path}"


def make_throttle(job: Job, stop: Stop, clock: Clock, progress: Progress) -> Throttle:
    """Return the throttle of a job's models; long waits for the rate are reported."""
    return Throttle(
        bounds=job.limits.of_model,
        monotonic=clock.monotonic,
        sleep=stop.sleep_until_stop,
        stopping=stop.is_set,
        on_long_wait=lambda model, seconds: progress.gate_closed(model, seconds, "rate limit"),
    )


@contextmanager
def open_shared_budget(
    job: Job, clock: Clock, identity: str, *, spent_usd: float, at_risk_usd: float
) -> Iterator[SharedBudget | None]:
    """Yield the budget that the job shares with other jobs, if it names one.

    identity: that of the job's ledger. spent_usd, at_risk_usd: as for `make_budget`.
    """
    if job.budget is None:
        yield None
        return
    with SharedBudget(job.budget, clock.now, identity) as shared_budget:
        shared_budget.recover(spent_usd, at_risk_usd)
        yield shared_budget
