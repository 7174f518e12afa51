"""How a run hears that it should end: the first signal drains it, a second one ends it at once."""

import asyncio
import signal
from collections.abc import Coroutine

from batchgen.engine.stop import Stop, StopReason
from batchgen.errors import Exit
from batchgen.progress import Progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """SIGINT, SIGTERM and SIGHUP (a closed terminal) while a run works.

    patience_s: how long what is in flight is waited for after the first; None waits to its end.
    """

    def __init__(self, stop: Stop, progress: Progress, *, patience_s: float | None) -> None:
        self._stop = stop
        self._progress = progress
        self._patience_s = patience_s
        self._first: signal.Signals | None = None
        self._work: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    @property
    def exit_code(self) -> Exit:
        """What a run that a signal has ended exits with."""
        stopped_by_hand = self._first in (None, signal.SIGINT)  # None: a program took no more
        return Exit.INTERRUPTED if stopped_by_hand else Exit.TERMINATED

    async def hear_during(self, work: Coroutine[None, None, None]) -> None:
        """Carry out the work; return when it is done or has been cut off."""
        loop = asyncio.get_running_loop()
        self._work = loop.create_task(work)
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._receive, number)
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._stop.cut:
                raise
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            if self._timer is not None:
                self._timer.cancel()

    def _receive(self, number: signal.Signals) -> None:
        if self._first is not None:
            self._cut(f"{number.name} was received again: what was in flight is left unknown")
            return
        self._first = number
        self._stop.set(StopReason.SIGNAL, f"{number.name} was received")
        self._progress.log(
            "stopping: what is under way is finished and kept; once more ends at once"
        )
        if self._patience_s is not None:
            told = f"what was in flight after {self._patience_s:g} s is left unknown"
            self._timer = asyncio.get_running_loop().call_later(self._patience_s, self._cut, told)

    def _cut(self, told: str) -> None:
        if self._stop.cut or self._work is None:
            return
        self._stop.cut = True
        self._progress.log(told)
        self._work.cancel()
