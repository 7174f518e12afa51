"""Signals that end a run: the first one waits for requests in flight, a second one aborts them."""

import asyncio
import signal
from collections.abc import Coroutine
from functools import partial

from batchgen.engine.stop import Stop, StopReason
from batchgen.errors import Exit
from batchgen.http.deadlines import RunningTimer
from batchgen.progress import Progress

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Signals:
    """Handles SIGINT, SIGTERM and SIGHUP (a closed terminal) while a run works.

    drain_timeout_s: how long to wait for requests in flight after the first signal, without time
        in which the process is stopped; None waits until they end.
    """

    def __init__(self, stop: Stop, progress: Progress, *, drain_timeout_s: float | None) -> None:
        self._stop = stop
        self._progress = progress
        self._drain_timeout_s = drain_timeout_s
        self._first: signal.Signals | None = None
        self._work: asyncio.Task[None] | None = None
        self._timer: RunningTimer | None = None

    @property
    def exit_code(self) -> Exit:
        """The exit code of a run that was stopped by a signal, or by a Python caller."""
        is_interrupt = self._first in (None, signal.SIGINT)  # None: a Python caller left its loop
        return Exit.INTERRUPTED if is_interrupt else Exit.TERMINATED

    async def run_with_handlers(self, work: Coroutine[None, None, None]) -> None:
        """Run the work with the handlers installed; return when it is done or was aborted."""
        loop = asyncio.get_running_loop()
        self._work = loop.create_task(work)
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._receive, number)
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._stop.aborted:
                raise
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
            if self._timer is not None:
                self._timer.close()

    def _receive(self, number: signal.Signals) -> None:
        if self._first is not None:
            self._abort(f"{number.name} again: requests in flight are recorded as unknown")
            return
        self._first = number
        self._stop.set(StopReason.SIGNAL, f"{number.name} was received")
        again = "Ctrl-C again" if number is signal.SIGINT else "send it again"
        self._progress.log(f"stopping: waiting for requests in flight ({again} to stop now)")
        if self._drain_timeout_s is not None:
            message = (
                f"requests still in flight after {self._drain_timeout_s:g} s are recorded as"
                " unknown"
            )
            self._timer = RunningTimer(self._drain_timeout_s, partial(self._abort, message))

    def _abort(self, message: str) -> None:
        if self._stop.aborted or self._work is None:
            return
        self._stop.aborted = True
        self._progress.log(message)
        self._work.cancel()
