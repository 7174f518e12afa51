"""The clock, passed as an argument so that tests need not wait."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock, the time of day, and a sleep."""

    def monotonic(self) -> float:
        """Return seconds that never go back, for durations."""

    def now(self) -> datetime:
        """Return the time of day, aware, in UTC."""

    async def sleep(self, seconds: float) -> None:
        """Wait this long."""


class SystemClock:
    """The clock of this machine."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
