"""Modelled servers, and a run against them in unreal time: what they allow, and what was sent."""

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batchgen.engine.throttle import Bounds, Throttle, Ticket
from batchgen.types import Decision, HttpResponse, Verb

MODEL = "flux/schnell"
_WAY_S = 0.05  # between client and server


class Server(Protocol):
    """Takes a request or refuses it."""

    def take(self, now: float) -> Mapping[str, str] | None:
        """None where it is taken; else the headers of the refusal."""

    def done(self) -> None:
        """A request that was taken is answered."""

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:
        """How many requests it would have taken in that time."""


@dataclass
class Bucket:
    """A token bucket: `rates` are (from when, tokens a second)."""

    rates: tuple[tuple[float, float], ...]
    size: float
    whole_seconds: bool = True
    told: bool = True
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.size

    def take(self, now: float) -> Mapping[str, str] | None:
        self.tokens = min(self.size, self.tokens + self.flow(self.filled_at, now))
        self.filled_at = now
        if self.tokens >= 1 - 1e-9:
            self.tokens -= 1
            return None
        rate = [rate for since, rate in self.rates if since <= now][-1]
        wait = (1 - self.tokens) / rate
        if not self.told:
            return {}
        return {"retry-after": f"{max(1, math.ceil(wait)) if self.whole_seconds else wait}"}

    def done(self) -> None:
        pass

    def flow(self, start: float, end: float) -> float:
        """The tokens that come in between two moments."""
        return _integral(self.rates, start, end)

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:  # noqa: ARG002  a bucket does not care
        return self.flow(start, end)


@dataclass
class Crowd:
    """So many at once and no more: `most` are (from when, how many)."""

    most: tuple[tuple[float, int], ...]
    inside: int = 0

    def take(self, now: float) -> Mapping[str, str] | None:
        if self.inside >= [most for since, most in self.most if since <= now][-1]:
            return {"retry-after": "1"}
        self.inside += 1
        return None

    def done(self) -> None:
        self.inside -= 1

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:
        return _integral(self.most, start, end) / latency_s


@dataclass
class Moody:
    """Refuses a share of what comes, however slowly it comes; the rest is for another server.

    after_s: what a refusal without a cause asks for.
    """

    server: Server
    share: float
    after_s: float | None = None
    _dice: random.Random = field(default_factory=lambda: random.Random(2))  # noqa: S311  # no secret

    def take(self, now: float) -> Mapping[str, str] | None:
        if self._dice.random() < self.share:
            return {} if self.after_s is None else {"retry-after": f"{self.after_s}"}
        return self.server.take(now)

    def done(self) -> None:
        self.server.done()

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:
        return self.server.allowed(start, end, latency_s)


def _integral(steps: Sequence[tuple[float, float]], start: float, end: float) -> float:
    ends = [since for since, _ in steps[1:]] + [math.inf]
    return sum(
        height * max(0.0, min(end, until) - max(start, since))
        for (since, height), until in zip(steps, ends, strict=True)
    )


@dataclass
class Report:
    """What came of a run: shares of what was allowed, and of what was sent."""

    sent: int = 0
    taken: int = 0
    refused: int = 0
    allowed: float = 0.0

    @property
    def utilisation(self) -> float:
        """Of what the server would have taken."""
        return self.taken / self.allowed

    @property
    def waste(self) -> float:
        """Of what was sent."""
        return self.refused / max(1, self.sent)

    def __str__(self) -> str:
        return f"{self.utilisation:.1%} used, {self.waste:.2%} wasted of {self.sent} sent"


@dataclass
class Trial:
    """Workers that always want to send, for `seconds` against a server.

    late_s: after its time every wake-up comes, as on a busy machine.
    """

    server: Server
    seconds: float
    workers: int = 64
    latency_s: float = 10.0
    spread: float = 0.5
    rpm: float | None = None
    late_s: float = 0.0

    def __post_init__(self) -> None:
        self._report = Report(allowed=self.server.allowed(0, self.seconds, self.latency_s))
        self._dice = random.Random(1)  # noqa: S311  # no secret

    async def run(self) -> Report:
        """Send until the time is over."""
        loop = asyncio.get_running_loop()
        self._throttle = Throttle(
            bounds=lambda _: Bounds(self.workers, self.rpm),
            monotonic=loop.time,
            sleep=lambda seconds: asyncio.sleep(seconds + self.late_s),
            stopping=lambda: loop.time() >= self.seconds,
        )
        await asyncio.gather(*(self._worker(loop) for _ in range(self.workers)))
        return self._report

    async def _worker(self, loop: asyncio.AbstractEventLoop) -> None:
        while loop.time() < self.seconds:
            ticket = await self._throttle.admit(MODEL)
            if loop.time() < self.seconds:
                await self._exchange(ticket, loop)

    async def _exchange(self, ticket: Ticket, loop: asyncio.AbstractEventLoop) -> None:
        self._report.sent += 1
        await asyncio.sleep(_WAY_S)
        refusal = self.server.take(loop.time())
        if refusal is None:
            self._report.taken += 1
            await asyncio.sleep(self.latency_s * (1 + self.spread * self._dice.uniform(-1, 1)))
            self.server.done()
            reply, decision = HttpResponse(200, {}, b""), Decision(Verb.ACCEPT)
        else:
            self._report.refused += 1
            after_s = float(refusal["retry-after"]) if refusal else None
            reply = HttpResponse(429, refusal, b"")
            decision = Decision(Verb.RETRY, "rate_limited", hold=True, after_s=after_s)
        await asyncio.sleep(_WAY_S)
        self._throttle.hear(MODEL, ticket, reply, decision)
        if refusal is not None:
            await asyncio.sleep(1.05 * (decision.after_s or 1.0))
