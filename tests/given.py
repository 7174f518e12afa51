"""Tasks, outcomes, a ledger and a clock for tests."""

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
_TURNS = 50  # of the event loop; more than the longest chain of callbacks in these tests


def a_task(number: int = 0, /, **changes: Any) -> Task:
    """Return a task whose key follows from its number."""
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
    """Return the ledger of an output directory, in which a run has begun."""
    path = directory / ".batchgen" / "ledger.sqlite3"
    path.parent.mkdir(exist_ok=True)
    ledger = Ledger(path)
    ledger.begin_run(pid=1, total=total, now=NOW)
    return ledger


def a_png(width: int = 64, height: int = 32, *, pixel: bytes = b"\0") -> bytes:
    """Return a small image: a valid header, but no valid image data."""
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", pixel * 99), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in chunks)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def spooled(path: Path, data: bytes) -> Spooled:
    """Return a payload that is in a temporary file."""
    path.write_bytes(data)
    return Spooled(str(path), len(data), hashlib.sha256(data).hexdigest(), data[:4096])


class FakeClock:
    """A clock that stands still until `advance`."""

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
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self.seconds + seconds, next(self._numbers), future))
        await future

    async def advance(self, seconds: float) -> None:
        """Let time pass, and wake the tasks that sleep until then in order."""
        end = self.seconds + seconds
        await run_pending()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, future = heapq.heappop(self._sleepers)
            self.seconds = max(self.seconds, due)
            if not future.done():
                future.set_result(None)
            await run_pending()
        self.seconds = end


async def run_pending() -> None:
    """Run the event loop until no callback is ready."""
    for _ in range(_TURNS):
        await asyncio.sleep(0)


async def until(condition: Callable[[], bool]) -> None:
    """Run the event loop, and let threads run, until a condition is true."""
    async with asyncio.timeout(20):
        while not condition():
            await run_pending()
