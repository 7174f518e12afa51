"""What every paid request passes: API key, rate limit, faults, statistics."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec
from aiohttp import web

from batchgen.simulator.fault_injection import FaultInjector, Reply
from batchgen.simulator.prices import CREDITS_PER_USD
from batchgen.simulator.rate_limit import Gate
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats

_BEARER = re.compile(r"Bearer (\S+)", re.IGNORECASE)
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)


class Asked(msgspec.Struct, frozen=True):
    """An admitted request: its body, its keys, and the draw of its latency.

    key: `Idempotency-Key`. client_id: `X-Client-Request-Id`, for the usage log.
    expired: the URLs of its reply have expired.
    """

    raw: bytes
    content_type: str
    key: str | None
    share: float
    client_id: str | None = None
    expired: bool = False


class Made(msgspec.Struct, frozen=True):
    """The reply to a paid request, before faults are applied to it."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


Make: TypeAlias = Callable[[Asked], Awaitable[Made]]


class Middleware:
    """Checks requests and applies faults to their replies.

    elsewhere: URL of a host other than the API's.
    """

    def __init__(
        self, settings: SimulatorSettings, *, injector: FaultInjector, stats: Stats
    ) -> None:
        self._settings = settings
        self.injector = injector
        self.stats = stats
        self._gate = Gate(settings, time.monotonic)
        self.elsewhere = ""

    async def serve(self, request: web.Request, make: Make) -> web.StreamResponse:
        """Return the reply to a paid request, and count it."""
        became = "abandoned"
        self.stats.begin()
        try:
            reply = await self._through(request, make)
            became = reply.became
        except (Rejection, web.HTTPException) as error:
            became = str(error.status)
            raise
        finally:
            self.stats.end(became)
        return reply.response

    def authorise(self, request: web.Request) -> None:
        """Raise Rejection (401) unless the request has a valid key."""
        found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        good = self._settings.api_keys
        if found is None or (good is not None and found[1] not in good):
            raise Rejection(401)

    async def _through(self, request: web.Request, make: Make) -> Reply:
        """Check the key and the rate limit, then build the reply, with a fault if one is drawn."""
        self.authorise(request)
        limits = self._gate.enter(self.stats.in_flight)
        raw = await request.read()
        key = request.headers.get("Idempotency-Key")
        draw = self.injector.draws.generation(key or raw.decode("utf-8", "replace"))
        early = await self.injector.early(request, draw.fault, self.elsewhere)
        if early is not None:
            return early
        content_type = request.headers.get("Content-Type", "application/json")
        expired = draw.fault == "expired"
        asked = Asked(raw, content_type, key, draw.share, _client_request_id(request), expired)
        made = await make(asked)
        late = await self.injector.late(request, draw.fault, made.body)
        if late is not None:
            return late
        headers = {**limits, **made.headers, **_echo(request)}
        response = web.Response(
            body=made.body, status=made.status, headers=headers, content_type=made.content_type
        )
        return Reply(response, str(made.status))


def accounting(inference_id: str, credits_used: int, *, again: bool) -> dict[str, str]:
    """Return the headers with the cost of a request; `again` marks a repeated answer."""
    headers = {
        "x-inference-id": inference_id,
        "x-aimlapi-credits-used": str(credits_used),
        "x-aimlapi-usd-spent": f"{credits_used / CREDITS_PER_USD:.8f}",
    }
    return {**headers, "x-idempotent-replay": "true"} if again else headers


def _echo(request: web.Request) -> Mapping[str, str]:
    name = _client_request_id(request)
    return {} if name is None else {"x-client-request-id": name}


def _client_request_id(request: web.Request) -> str | None:
    name = request.headers.get("X-Client-Request-Id", "")
    return name if _CLIENT_REQUEST_ID.fullmatch(name) else None
