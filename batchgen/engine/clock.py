"""Time as an argument: what waits or stamps takes a `Clock`, so that tests need no waiting."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Seconds that only grow, the time of day, and waiting."""

    def monotonic(self) -> float:
        """Seconds for durations."""

    def now(self) -> datetime:
        """The aware UTC time of day."""

    async def sleep(self, seconds: float) -> None:
        """Wait."""


class SystemClock:
    """The machine's own time."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
