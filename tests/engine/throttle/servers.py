"""Simulated servers with rate limits, and workers that send requests to them in virtual time."""

import asyncio
import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from batchgen.engine.throttle import Bounds, Throttle, Ticket
from batchgen.types import Decision, HttpResponse, Verb

MODEL = "flux/schnell"
_NETWORK_S = 0.05  # one way between client and server


class Server(Protocol):
    """Accepts or refuses requests."""

    def receive(self, now: float) -> Mapping[str, str] | None:
        """Return None if the request is accepted, else the headers of the refusal."""

    def done(self) -> None:
        """Note that an accepted request has its reply."""

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:
        """Return how many requests the server could accept in that time."""


@dataclass
class TokenBucket:
    """A token bucket.

    rates: (since when, tokens per second). sends_wait: whether a refusal says how long to wait.
    """

    rates: tuple[tuple[float, float], ...]
    size: float
    whole_seconds: bool = True
    sends_wait: bool = True
    tokens: float = field(init=False)
    filled_at: float = 0.0

    def __post_init__(self) -> None:
        self.tokens = self.size

    def receive(self, now: float) -> Mapping[str, str] | None:
        self.tokens = min(self.size, self.tokens + self.tokens_added(self.filled_at, now))
        self.filled_at = now
        if self.tokens >= 1 - 1e-9:
            self.tokens -= 1
            return None
        rate = [rate for since, rate in self.rates if since <= now][-1]
        wait = (1 - self.tokens) / rate
        if not self.sends_wait:
            return {}
        return {"retry-after": f"{max(1, math.ceil(wait)) if self.whole_seconds else wait}"}

    def done(self) -> None:
        pass

    def tokens_added(self, start: float, end: float) -> float:
        """Return the number of tokens added between two times."""
        return _integral(self.rates, start, end)

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:  # noqa: ARG002  no limit in flight
        return self.tokens_added(start, end)


@dataclass
class ConcurrencyLimit:
    """A limit on requests in flight; limits: (since when, how many)."""

    limits: tuple[tuple[float, int], ...]
    in_flight: int = 0

    def receive(self, now: float) -> Mapping[str, str] | None:
        if self.in_flight >= [limit for since, limit in self.limits if since <= now][-1]:
            return {"retry-after": "1"}
        self.in_flight += 1
        return None

    def done(self) -> None:
        self.in_flight -= 1

    def allowed(self, start: float, end: float, latency_s: float, /) -> float:
        return _integral(self.limits, start, end) / latency_s


@dataclass
class RandomRefusals:
    """Refuses a share of the requests at any rate; the others go to `server`.

    after_s: the wait that a random refusal asks for; None for none.
    """

    server: Server
    share: float
    after_s: float | None = None
    _random: random.Random = field(default_factory=lambda: random.Random(2))  # noqa: S311  # no secret

    def receive(self, now: float) -> Mapping[str, str] | None:
        if self._random.random() < self.share:
            return {} if self.after_s is None else {"retry-after": f"{self.after_s}"}
        return self.server.receive(now)

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
    """The result of a simulated run."""

    sent: int = 0
    accepted: int = 0
    refused: int = 0
    allowed: float = 0.0

    @property
    def utilisation(self) -> float:
        """The share of the allowed requests that were accepted."""
        return self.accepted / self.allowed

    @property
    def waste(self) -> float:
        """The share of the sent requests that were refused."""
        return self.refused / max(1, self.sent)

    def __str__(self) -> str:
        return f"{self.utilisation:.1%} used, {self.waste:.2%} wasted of {self.sent} sent"


@dataclass
class Trial:
    """Workers that send to a server for `seconds` without a break.

    spread: the share by which the latency varies. late_s: the delay of each wake-up, as on a busy
    machine.
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
        self._random = random.Random(1)  # noqa: S311  # no secret

    async def run(self) -> Report:
        """Send until the time is over; return the result."""
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
            ticket = await self._throttle.acquire(MODEL)
            if loop.time() < self.seconds:
                await self._exchange(ticket, loop)

    async def _exchange(self, ticket: Ticket, loop: asyncio.AbstractEventLoop) -> None:
        self._report.sent += 1
        await asyncio.sleep(_NETWORK_S)
        refusal = self.server.receive(loop.time())
        if refusal is None:
            self._report.accepted += 1
            await asyncio.sleep(self.latency_s * (1 + self.spread * self._random.uniform(-1, 1)))
            self.server.done()
            reply, decision = HttpResponse(200, {}, b""), Decision(Verb.ACCEPT)
        else:
            self._report.refused += 1
            after_s = float(refusal["retry-after"]) if refusal else None
            reply = HttpResponse(429, refusal, b"")
            decision = Decision(Verb.RETRY, "rate_limited", hold=True, after_s=after_s)
        await asyncio.sleep(_NETWORK_S)
        self._throttle.record(MODEL, ticket, reply, decision)
        if refusal is not None:
            await asyncio.sleep(1.05 * (decision.after_s or 1.0))
