"""Replies with faults: before a generation, after it, or for a file."""

import asyncio
import base64

import msgspec
from aiohttp import web

from batchgen.simulator import broken_replies
from batchgen.simulator.fault_draws import FaultDraws
from batchgen.simulator.rate_limit import retry_after
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import Sleep
from batchgen.simulator.signed_urls import REDIRECTED

_JSON = "application/json"
_NOT_IMAGES = {
    "badb64": "@@@ this is not base64 @@@",
    "text": base64.b64encode(b"This is a text, not an image.\n").decode(),
}
_FILE_STATUSES = {"file404": 404, "file500": 500}


class CountedResponse(msgspec.Struct, frozen=True):
    """A response, and the name of its result in the statistics."""

    response: web.StreamResponse
    result: str


class FaultInjector(msgspec.Struct, frozen=True):
    """Draws faults and applies them.

    stopping: releases stalled requests. sleep: between the pieces of a slow reply.
    limit_headers: whether a 429 says how long to wait.
    """

    draws: FaultDraws
    stopping: asyncio.Event
    sleep: Sleep
    limit_headers: bool = True

    async def before_generation(
        self, request: web.Request, fault: str | None, other_host: str
    ) -> CountedResponse | None:
        """Return the response of a fault before the generation, or None.

        other_host: a URL. Raise Rejection for a status.
        """
        match fault:
            case "reset":
                return CountedResponse(broken_replies.hang_up(request), fault)
            case "stall":
                await self.stopping.wait()
                return CountedResponse(broken_replies.hang_up(request), fault)
            case "html":
                return CountedResponse(broken_replies.page("Just a moment..."), "200")
            case "empty":
                return CountedResponse(
                    web.json_response({"created": 1_750_000_000, "data": []}), "200"
                )
            case "redirect":
                headers = {"Location": other_host + request.path}
                return CountedResponse(web.Response(status=307, headers=headers), "307")
            case "429":
                raise Rejection(429, headers=retry_after(1) if self.limit_headers else {})
            case str() if fault.isdecimal():
                raise Rejection(int(fault))
            case _:
                return None

    async def after_generation(
        self, request: web.Request, fault: str | None, body: bytes
    ) -> CountedResponse | None:
        """Return the response of a fault after the charge, or None; `body` is the good reply."""
        match fault:
            case "lost":
                return CountedResponse(broken_replies.hang_up(request), fault)
            case "lying":
                return CountedResponse(
                    broken_replies.send_more_than_announced(request, body), fault
                )
            case "mislabelled":
                return CountedResponse(web.Response(body=body, content_type="text/html"), "200")
            case "badb64" | "text":
                item = {"b64_json": _NOT_IMAGES[fault]}
                return CountedResponse(
                    web.json_response({"created": 1_750_000_000, "data": [item]}), "200"
                )
            case "truncated" | "slow" | "hang":
                response = await self._send(request, fault, body, _JSON)
                return CountedResponse(response, "200" if fault == "slow" else fault)
            case _:
                return None

    def replace_file(self, request: web.Request, fault: str | None) -> web.Response | None:
        """Return the response of a fault that needs no file, or None.

        Raise Rejection for a status.
        """
        match fault:
            case "file404" | "file500":
                raise Rejection(_FILE_STATUSES[fault])
            case "filehtml":
                return broken_replies.page("Access denied")
            case "fileempty":
                return web.Response(body=b"", content_type="image/png")
            case "fileredirect":
                return _redirect(f"http://{request.host}{request.raw_path}{REDIRECTED}")
            case "fileloop":
                return _redirect(f"http://{request.host}{request.raw_path}")
            case "filescheme":
                return _redirect("file:///etc/hostname")
            case _:
                return None

    async def send_file(
        self, request: web.Request, fault: str | None, body: bytes, content_type: str
    ) -> web.StreamResponse:
        """Return the response with the file, with a fault or without."""
        return await self._send(request, (fault or "").removeprefix("file"), body, content_type)

    async def _send(
        self, request: web.Request, fault: str, body: bytes, content_type: str
    ) -> web.StreamResponse:
        match fault:
            case "truncated":
                return await broken_replies.send_half(request, body, content_type)
            case "slow":
                return await broken_replies.send_slowly(
                    request, body, content_type, sleep=self.sleep
                )
            case "hang":
                return await broken_replies.send_and_hang(
                    request, body, content_type, until=self.stopping
                )
            case _:
                return web.Response(body=body, content_type=content_type)


def _redirect(target: str) -> web.Response:
    return web.Response(status=302, headers={"Location": target})
