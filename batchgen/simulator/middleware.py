"""The steps around the handler of a paid request: API key, rate limit, faults, statistics."""

import re
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler

from batchgen.simulator.fault_injection import CountedResponse, FaultInjector
from batchgen.simulator.prices import CREDITS_PER_USD
from batchgen.simulator.rate_limit import RateLimiter
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats

_BEARER = re.compile(r"Bearer (\S+)", re.IGNORECASE)
_CLIENT_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)


class PaidRequest(msgspec.Struct, frozen=True):
    """A request that has passed the checks.

    key: `Idempotency-Key`. client_id: `X-Client-Request-Id`, for the usage log.
    share: between 0 and 1, decides its latency. expired: the URLs of its reply have expired.
    """

    path: str
    body: bytes
    content_type: str
    key: str | None
    client_id: str | None
    share: float
    expired: bool = False


class PaidReply(msgspec.Struct, frozen=True):
    """The reply to a paid request, before faults are applied to it."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


PaidHandler: TypeAlias = Callable[[PaidRequest], Awaitable[PaidReply]]


class Middleware:
    """Checks requests and applies faults to their replies.

    other_host: URL of a host other than the API's.
    """

    def __init__(
        self, settings: SimulatorSettings, *, injector: FaultInjector, stats: Stats
    ) -> None:
        self._api_keys = settings.api_keys
        self._limiter = RateLimiter(settings, time.monotonic)
        self.injector = injector
        self.stats = stats
        self.other_host = ""

    def paid(self, handler: PaidHandler) -> Handler:
        """Return the handler of a route with paid requests."""

        async def handle(request: web.Request) -> web.StreamResponse:
            result = "abandoned"
            self.stats.begin()
            try:
                counted = await self._respond(request, handler)
                result = counted.result
            except (Rejection, web.HTTPException) as error:
                result = str(error.status)
                raise
            finally:
                self.stats.end(result)
            return counted.response

        return handle

    def authorise(self, request: web.Request) -> None:
        """Raise Rejection (401) unless the request has a valid key."""
        match = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        if match is None or (self._api_keys is not None and match[1] not in self._api_keys):
            raise Rejection(401)

    async def _respond(self, request: web.Request, handler: PaidHandler) -> CountedResponse:
        """Check the key and the limits, then handle the request, with a fault if one is drawn."""
        self.authorise(request)
        limits = self._limiter.admit(self.stats.in_flight)
        body = await request.read()
        key = request.headers.get("Idempotency-Key")
        draw = self.injector.draws.generation(key or body.decode("utf-8", "replace"))
        faulty = await self.injector.before_generation(request, draw.fault, self.other_host)
        if faulty is not None:
            return faulty
        client_id = request.headers.get("X-Client-Request-Id", "")
        paid = PaidRequest(
            path=request.path,
            body=body,
            content_type=request.headers.get("Content-Type", "application/json"),
            key=key,
            client_id=client_id if _CLIENT_REQUEST_ID.fullmatch(client_id) else None,
            share=draw.share,
            expired=draw.fault == "expired",
        )
        reply = await handler(paid)
        faulty = await self.injector.after_generation(request, draw.fault, reply.body)
        if faulty is not None:
            return faulty
        echo = {"x-client-request-id": paid.client_id} if paid.client_id else {}
        response = web.Response(
            body=reply.body,
            status=reply.status,
            headers={**limits, **reply.headers, **echo},
            content_type=reply.content_type,
        )
        return CountedResponse(response, str(reply.status))


def cost_headers(inference_id: str, credits_used: int, *, again: bool) -> dict[str, str]:
    """Return the headers with the cost of a request; `again` marks a repeated reply."""
    headers = {
        "x-inference-id": inference_id,
        "x-aimlapi-credits-used": str(credits_used),
        "x-aimlapi-usd-spent": f"{credits_used / CREDITS_PER_USD:.8f}",
    }
    return {**headers, "x-idempotent-replay": "true"} if again else headers


@web.middleware
async def vendor_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give every error the vendor's shape, including those of unknown paths."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        rejection = Rejection(error.status, f"{error.reason}: {request.method} {request.path}")
    except Rejection as error:
        rejection = error
    body = rejection.body(request.path)
    return web.json_response(body, status=rejection.status, headers=rejection.headers)
