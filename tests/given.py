"""Values and a clock that tests of the durable edge begin with."""

import asyncio
import hashlib
import heapq
import itertools
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec import structs
from msgspec.structs import replace

from batchgen.storage.ledger import Ledger
from batchgen.types import Artifact, Outcome, Spooled, Status, Task

NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)
_TURNS = 50  # of the event loop: more than the longest chain of wake-ups in these tests


def a_task(number: int = 0, /, **changes: Any) -> Task:
    """A task whose key follows from its number."""
    task = Task(
        key=f"{number:032x}",
        digest="d" * 32,
        id=f"fox-{number}",
        ordinal=number,
        file="prompts.csv",
        line=number + 2,
        endpoint="images",
        model="dall-e-2",
        prompt=f"A fox, number {number}",
        params={"size": "256x256", "seed": 2**70},
        vars={"sku": "Ä-17"},
        filename=f"fox-{number}-{{n}}.{{ext}}",
    )
    return structs.replace(task, **changes)


def an_artifact(path: str = "fox-0-1.png", **changes: Any) -> Artifact:
    return replace(Artifact(path, 1234, "0" * 64, "image/png", 256, 256), **changes)


def succeeded(*artifacts: Artifact, **changes: Any) -> Outcome:
    outcome = Outcome(
        Status.SUCCEEDED,
        artifacts=artifacts,
        attempts=1,
        http_status=200,
        request_id="req-1",
        revised_prompt="A red fox",
        seed=2**70,
        cost_usd=0.02,
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=1.5),
        duration_s=1.5,
    )
    return replace(outcome, **changes)


def a_ledger(directory: Path, *, total: int = 0) -> Ledger:
    """The ledger of an output directory with a run begun."""
    path = directory / ".batchgen" / "ledger.sqlite3"
    path.parent.mkdir(exist_ok=True)
    ledger = Ledger(path)
    ledger.begin_run(pid=1, total=total, now=NOW)
    return ledger


def a_png(width: int = 64, height: int = 32, *, pixel: bytes = b"\0") -> bytes:
    """A small picture; the bytes that its header needs, not a valid image."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixel * 99)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def spooled(path: Path, data: bytes) -> Spooled:
    """Bytes in a temporary file."""
    path.write_bytes(data)
    return Spooled(str(path), len(data), hashlib.sha256(data).hexdigest(), data[:4096])


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()

    def monotonic(self) -> float:
        return self.seconds

    def now(self) -> datetime:
        return NOW + timedelta(seconds=self.seconds)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._numbers), woken))
        await woken

    async def advance(self, seconds: float) -> None:
        """Let time pass, and everybody do what they do in that time."""
        end = self.seconds + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self.seconds = max(self.seconds, due)
            if not woken.done():
                woken.set_result(None)
            await settle()
        self.seconds = end


async def settle() -> None:
    """Let the event loop come to rest."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Let everybody go on, threads too, until something holds."""
    async with asyncio.timeout(20):
        while not condition():
            await settle()
