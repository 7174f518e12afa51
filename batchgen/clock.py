"""Time as an argument: what waits or stamps takes a `Clock`, so that tests need no waiting."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

import msgspec

_encode = msgspec.json.Encoder().encode


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


def stamp(moment: datetime) -> str:
    """A time of day in UTC as its `isoformat` has it, which takes three times as long.

    One without a zone, as another tool may have left it, is taken for UTC.
    """
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    return _encode(moment)[1:-2].decode() + "+00:00"
