"""The stop of a run: its reason, the waits that it ends early, and the circuit breaker."""

import asyncio
from collections import deque
from enum import StrEnum
from typing import TypeAlias

from batchgen.engine.clock import Clock
from batchgen.errors import BatchgenError, StorageError
from batchgen.types import Outcome, Status

_LAST_TASKS = 100
_Sleepers: TypeAlias = set[asyncio.Future[None]]
_FINISHED = (Status.SUCCEEDED, Status.FAILED, Status.REFUSED)


class StopReason(StrEnum):
    """Why a run starts no more tasks."""

    SIGNAL = "signal"
    HALT = "halt"
    BUDGET = "budget"
    DEADLINE = "deadline"
    STORAGE = "storage"
    MANIFEST = "manifest"  # it was changed after the check


class Stop:
    """The stop of a run, with its first reason.

    kind: of the decision that halted the run (`auth`), or the limit that was reached (`max_cost`).
    aborted: requests in flight are not waited for.
    """

    def __init__(self, clock: Clock) -> None:
        self.reason: StopReason | None = None
        self.message = ""
        self.kind = ""
        self.error: StorageError | None = None
        self.aborted = False
        self._sleeping: _Sleepers = set()
        self._waiting: _Sleepers = set()
        self._abandons_remote = False
        self._clock = clock

    def set(self, reason: StopReason, message: str, *, kind: str = "") -> None:
        """Start no more tasks, and leave remote jobs to the next run.

        If the budget is spent, remote jobs are paid for: they are still waited for.
        """
        if self.reason is None:
            self.reason, self.message, self.kind = reason, message, kind
            _wake(self._sleeping)
        if reason is not StopReason.BUDGET:
            self._abandons_remote = True
            _wake(self._waiting)

    def withdraw(self) -> None:
        """Undo the stop: all tasks had ended when it was set."""
        self.reason, self.message, self.kind = None, "", ""

    def fail(self, error: BatchgenError) -> None:
        """Start no more tasks, because of an error that a person has to fix."""
        if isinstance(error, StorageError):
            self.error = self.error or error
            self.set(StopReason.STORAGE, str(error))
        else:
            self.set(StopReason.MANIFEST, f"the manifest was changed during the run: {error}")

    def is_set(self) -> bool:
        """Return whether the run is stopping."""
        return self.reason is not None

    def abandons_remote(self) -> bool:
        """Return whether this run leaves remote jobs to the next run."""
        return self._abandons_remote

    async def sleep_until_stop(self, seconds: float) -> None:
        """Wait this long, or until the run is stopping."""
        if not self.is_set():
            await self._sleep(seconds, self._sleeping)

    async def wait_for_remote(self, seconds: float) -> None:
        """Wait this long for a remote job, or until remote jobs are left to the next run."""
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


class CircuitBreaker:
    """Halts a run after many failures in a row of one kind, or many refusals.

    max_failures: failures in a row. max_refusals: their share of the last 100 tasks, from 0 to 1;
    None is no limit.
    """

    def __init__(self, max_failures: int, *, max_refusals: float | None = None) -> None:
        self._max_failures = max_failures
        self._max_refusals = max_refusals
        self._kind = ""
        self._count = 0
        self._refused: deque[bool] = deque(maxlen=_LAST_TASKS)

    def add(self, outcome: Outcome) -> str | None:
        """Count an outcome; return the reason to halt if a limit is reached."""
        return self._count_failure(outcome) or self._count_refusal(outcome)

    def _count_failure(self, outcome: Outcome) -> str | None:
        if outcome.status not in (Status.FAILED, Status.UNKNOWN) or outcome.error is None:
            if outcome.status is Status.SUCCEEDED:
                self._count = 0
            return None
        self._count = self._count + 1 if outcome.error.kind == self._kind else 1
        self._kind = outcome.error.kind
        if self._count < self._max_failures:
            return None
        return f"{self._count} failures in a row: {outcome.error.kind} ({outcome.error.message})"

    def _count_refusal(self, outcome: Outcome) -> str | None:
        if self._max_refusals is None or outcome.status not in _FINISHED:
            return None
        self._refused.append(outcome.status is Status.REFUSED)
        count = sum(self._refused)
        if len(self._refused) < _LAST_TASKS or count <= self._max_refusals * _LAST_TASKS:
            return None
        return (
            f"the provider refused {count} of the last {_LAST_TASKS} tasks for their content;"
            f" limits.halt_refusals allows {self._max_refusals:.0%}"
        )
