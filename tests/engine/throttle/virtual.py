"""An event loop with virtual time: it never waits."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _VirtualSelector(selectors.SelectSelector):
    """A selector that advances its clock by the timeout instead of waiting."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise RuntimeError("deadlock: all tasks wait, and no timer is set")
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs real coroutines in virtual time."""

    def __init__(self) -> None:
        self._selector_clock = _VirtualSelector()
        super().__init__(self._selector_clock)

    def time(self) -> float:
        return self._selector_clock.now

    def advance(self, seconds: float) -> None:
        """Let time pass without running the loop."""
        self._selector_clock.now += seconds


def run_virtually(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end without waiting."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
