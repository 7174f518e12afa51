"""What every paid request passes on its way in and out: key, pace, faults, statistics."""

import asyncio
import base64
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from aiohttp import web

from batchgen.simulator import connection
from batchgen.simulator.bucket import Bucket, retry_after
from batchgen.simulator.faults import Draws
from batchgen.simulator.prices import CREDITS_PER_USD
from batchgen.simulator.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats

_BEARER = re.compile(r"Bearer (\S+)", re.IGNORECASE)
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_NO_IMAGES = {
    "badb64": "@@@ this is not base64 @@@",
    "text": base64.b64encode(b"This is a text, not an image.\n").decode(),
}


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, and how the statistics call what became of its request."""

    response: web.StreamResponse
    became: str


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that was let in: its body, its keys, and the draw of its latency.

    key: `Idempotency-Key`. client_id: `X-Client-Request-Id`, which the usage log tells.
    """

    raw: bytes
    content_type: str
    key: str | None
    share: float
    client_id: str | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """What a paid request made, before the faults that strike after it."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


Make: TypeAlias = Callable[[Asked], Awaitable[Made]]


class Door:
    """Lets requests in; `stopping` lets go of those that stall."""

    def __init__(self, settings: SimulatorSettings, *, draws: Draws, stats: Stats) -> None:
        self._settings = settings
        self.draws = draws
        self.stats = stats
        self._bucket = None if settings.rpm is None else Bucket(settings.rpm, time.monotonic)
        self.stopping = asyncio.Event()

    async def serve(self, request: web.Request, make: Make) -> web.StreamResponse:
        """The reply to a paid request, counted."""
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
        """Raise Rejection (401) unless the request has a good key."""
        found = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        good = self._settings.api_keys
        if found is None or (good is not None and found[1] not in good):
            raise Rejection(401)

    async def _through(self, request: web.Request, make: Make) -> Reply:
        """The path of a paid request, from its key to its reply."""
        self.authorise(request)
        self._keep_pace()
        raw = await request.read()
        key = request.headers.get("Idempotency-Key")
        draw = self.draws.generation(key or raw.decode("utf-8", "replace"))
        early = await self._fail_early(request, draw.fault)
        if early is not None:
            return early
        content_type = request.headers.get("Content-Type", "application/json")
        made = await make(Asked(raw, content_type, key, draw.share, _client_request_id(request)))
        late = await self._fail_late(request, draw.fault, made)
        if late is not None:
            return late
        headers = {**made.headers, **_echo(request)}
        response = web.Response(
            body=made.body, status=made.status, headers=headers, content_type=made.content_type
        )
        return Reply(response, str(made.status))

    def _keep_pace(self) -> None:
        wait_s = self._bucket.take() if self._bucket else 0.0
        if wait_s:
            raise Rejection(429, headers=retry_after(wait_s))

    async def _fail_early(self, request: web.Request, fault: str | None) -> Reply | None:
        """The faults that strike before anything is generated."""
        match fault:
            case "reset" | "stall":
                if fault == "stall":
                    await self.stopping.wait()
                return Reply(connection.hang_up(request), fault)
            case "html":
                return Reply(connection.page("Just a moment..."), "200")
            case "empty":
                return Reply(web.json_response({"created": 1_750_000_000, "data": []}), "200")
            case "429":
                raise Rejection(429, headers=retry_after(1))
            case str() if fault.isdecimal():
                raise Rejection(int(fault))
            case _:
                return None

    async def _fail_late(self, request: web.Request, fault: str | None, made: Made) -> Reply | None:
        """The faults that strike after a generation that was charged."""
        match fault:
            case "lost":
                return Reply(connection.hang_up(request), fault)
            case "truncated":
                return Reply(await connection.send_half(request, made.body), fault)
            case "badb64" | "text":
                broken = connection.no_image(_NO_IMAGES[fault])
                return Reply(web.json_response(broken), "200")
            case _:
                return None


def accounting(inference_id: str, credits_used: int, *, again: bool) -> dict[str, str]:
    """The headers that tell what a request cost, and whether it was answered before."""
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
