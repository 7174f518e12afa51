"""The stop of a run: its reason, and the waits that it ends early."""

import asyncio
from enum import StrEnum
from typing import TypeAlias

from batchgen.engine.clock import Clock
from batchgen.errors import BatchgenError, StorageError

_Sleepers: TypeAlias = set[asyncio.Future[None]]


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
        self._closed: dict[str, tuple[str, str]] = {}  # reason and kind by model
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

    def close_model(self, model: str, message: str, *, kind: str) -> None:
        """Start no more tasks of one model; the run goes on with the others."""
        self._closed.setdefault(model, (message, kind))

    def is_closed(self, model: str) -> bool:
        """Return whether no more tasks of this model are started."""
        return model in self._closed

    def halt_if_closed(self) -> None:
        """Halt the run, now that nothing is left to start, if the tasks of a model were left."""
        for model, (message, kind) in self._closed.items():
            self.set(StopReason.HALT, f"{model}: {message}", kind=kind)

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
