"""Why and how a run takes no more tasks."""

import asyncio
from collections import deque
from enum import StrEnum
from typing import TypeAlias

from batchgen.engine.clock import Clock
from batchgen.errors import BatchgenError, Exit, StorageError
from batchgen.job import Provider
from batchgen.storage.summary import Ending
from batchgen.types import Outcome, Status

_LAST_TASKS = 100
_Sleepers: TypeAlias = set[asyncio.Future[None]]
_FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.REFUSED)


class StopReason(StrEnum):
    """Why a run takes no more tasks."""

    SIGNAL = "signal"
    HALT = "halt"
    BUDGET = "budget"
    DEADLINE = "deadline"
    STORAGE = "storage"
    MANIFEST = "manifest"  # it no longer reads as it was checked


class Stop:
    """One event with a reason; the first reason stays.

    kind: of the decision that halted (`auth`), or the bound that was reached (`max_cost`).
    """

    def __init__(self, clock: Clock) -> None:
        self.reason: StopReason | None = None
        self.message = ""
        self.kind = ""
        self.error: StorageError | None = None
        self.cut = False  # what is in flight is not waited for any longer
        self._sleeping: _Sleepers = set()
        self._waiting: _Sleepers = set()
        self._leaving = False
        self._clock = clock

    def set(self, reason: StopReason, message: str, *, kind: str = "") -> None:
        """Take no more tasks; where only the budget is spent, what is submitted is waited for."""
        if self.reason is None:
            self.reason, self.message, self.kind = reason, message, kind
            _wake(self._sleeping)
        if reason is not StopReason.BUDGET:
            self._leaving = True
            _wake(self._waiting)

    def withdraw(self) -> None:
        """Nothing was left undone: it is as if the run had not been stopped."""
        self.reason, self.message, self.kind = None, "", ""

    def fail(self, error: BatchgenError) -> None:
        """Take no more tasks, for what a person has to mend first."""
        if isinstance(error, StorageError):
            self.error = self.error or error
            self.set(StopReason.STORAGE, str(error))
        else:
            self.set(StopReason.MANIFEST, f"the manifest was changed in mid-run: {error}")

    def is_set(self) -> bool:
        """Whether the run is stopping."""
        return self.reason is not None

    def abandons_remote(self) -> bool:
        """Whether what the provider works on is left to the next run."""
        return self._leaving

    async def sleep(self, seconds: float) -> None:
        """Wait, or return early when the run is stopping."""
        if not self.is_set():
            await self._sleep(seconds, self._sleeping)

    async def wait(self, seconds: float) -> None:
        """Wait for what the provider works on, or return early when that is left."""
        if not self.abandons_remote():
            await self._sleep(seconds, self._waiting)

    async def _sleep(self, seconds: float, sleepers: _Sleepers) -> None:
        sleeping = asyncio.ensure_future(self._clock.sleep(seconds))
        sleepers.add(sleeping)
        try:
            await asyncio.wait((sleeping,))
        finally:
            sleepers.discard(sleeping)
            sleeping.cancel()
        if not sleeping.cancelled():
            sleeping.result()


def _wake(sleepers: _Sleepers) -> None:
    for sleeping in sleepers:
        sleeping.cancel()


class Streak:
    """Dead ends that no single reply tells: failures in a row of one kind, or many refusals.

    bound: failures in a row. refusals: the share among the last 100 tasks; None is no bound.
    """

    def __init__(self, bound: int, *, refusals: float | None = None) -> None:
        self._bound = bound
        self._kind = ""
        self._count = 0
        self._refusals = refusals
        self._last: deque[bool] = deque(maxlen=_LAST_TASKS)

    def add(self, outcome: Outcome) -> str | None:
        """Count an outcome; the reason to halt when a bound is reached."""
        return self._failed(outcome) or self._refused(outcome)

    def _failed(self, outcome: Outcome) -> str | None:
        if outcome.status not in (Status.FAILED, Status.UNKNOWN) or outcome.error is None:
            if outcome.status is Status.SUCCEEDED:
                self._count = 0
            return None
        self._count = self._count + 1 if outcome.error.kind == self._kind else 1
        self._kind = outcome.error.kind
        if self._count < self._bound:
            return None
        return f"{self._count} failures in a row: {outcome.error.kind} ({outcome.error.message})"

    def _refused(self, outcome: Outcome) -> str | None:
        if self._refusals is None or outcome.status not in _FINISHED:
            return None
        self._last.append(outcome.status is Status.REFUSED)
        if len(self._last) < _LAST_TASKS or sum(self._last) <= self._refusals * _LAST_TASKS:
            return None
        return (
            f"{sum(self._last)} of the last {_LAST_TASKS} tasks were refused by the provider's"
            f" content rules; limits.halt_refusals allows {self._refusals:.0%}"
        )


def ending_of(stop: Stop, *, good: bool) -> tuple[Ending, Exit]:
    """How a run ended; `good`: every task that it was about has succeeded."""
    match stop.reason:
        case None:
            return (Ending.COMPLETE, Exit.OK) if good else (Ending.INCOMPLETE, Exit.SOME_FAILED)
        case StopReason.SIGNAL:
            return Ending.INTERRUPTED, Exit.INTERRUPTED
        case StopReason.STORAGE:
            return Ending.HALTED, Exit.STORAGE
        case _:
            return Ending.HALTED, Exit.HALTED


def advice_of(stop: Stop, provider: Provider) -> str | None:
    """What has to be done first; None where the same command simply goes on."""
    variables = " or ".join(provider.key_variables)
    match stop.kind:
        case "auth" if variables:
            return f"put a key into {variables} that {provider.name} accepts for this model"
        case "quota" if variables:
            return f"add credit to the account of the key in {variables}, or put another key there"
        case "max_cost":
            return "raise max_cost: --max-cost USD, or limits.max_cost in the job"
        case _ if stop.reason is StopReason.MANIFEST:
            return "mend the manifest"
        case _:
            return None
