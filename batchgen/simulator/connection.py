"""Replies that are wrong at the level of the connection."""

import socket
import struct

from aiohttp import web

from batchgen.simulator.schema import Json

_NO_LINGER = struct.pack("ii", 1, 0)


def hang_up(request: web.Request) -> web.StreamResponse:
    """Reset the connection; the response stands for none, which cannot be sent any more."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        request.transport.abort()
    return web.Response()


async def send_half(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announce the whole body, send half of it, and close."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    response.content_length = len(body)
    response.force_close()
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


def page(title: str) -> web.Response:
    """An HTML page with status 200, as a gateway shows it."""
    text = f"<!doctype html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return web.Response(text=text, content_type="text/html")


def no_image(b64: str) -> Json:
    """A body whose image is none."""
    return {"created": 1_750_000_000, "data": [{"b64_json": b64}]}
