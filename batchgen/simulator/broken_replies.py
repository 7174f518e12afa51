"""Replies that break their connection or the rules of HTTP."""

import asyncio
import socket
import struct

from aiohttp import web

from batchgen.simulator.settings import Sleep

_NO_LINGER = struct.pack("ii", 1, 0)
_PIECES = 20
_SLOW_S = 2.0


def hang_up(request: web.Request) -> web.StreamResponse:
    """Reset the connection. The returned response is a placeholder that is never sent."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
        request.transport.abort()
    return web.Response()


async def send_half(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    """Announce the whole body, send half of it, and close."""
    response = await _start(request, body, content_type)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def send_and_hang(
    request: web.Request, body: bytes, content_type: str, *, until: asyncio.Event
) -> web.StreamResponse:
    """Announce the whole body, send half of it, and nothing more."""
    response = await _start(request, body, content_type)
    await response.write(body[: len(body) // 2])
    await until.wait()
    return hang_up(request)


async def send_slowly(
    request: web.Request, body: bytes, content_type: str, *, sleep: Sleep
) -> web.StreamResponse:
    """Send the body in small pieces over two seconds."""
    response = await _start(request, body, content_type)
    size = len(body) // _PIECES + 1
    for start in range(0, len(body), size):
        await response.write(body[start : start + size])
        await sleep(_SLOW_S / _PIECES)
    await response.write_eof()
    return response


def send_more_than_announced(request: web.Request, body: bytes) -> web.StreamResponse:
    """Announce half of a JSON body, send all of it, and close.

    It writes to the transport, because aiohttp's responses refuse to do that.
    """
    head = (
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body) // 2}\r\n\r\n"
    )
    if request.transport is not None:
        request.transport.write(head.encode() + body)
        request.transport.close()
    return web.Response()


def page(title: str) -> web.Response:
    """Return an HTML page with status 200, as a gateway sends it."""
    text = f"<!doctype html><html><head><title>{title}</title></head><body>{title}</body></html>"
    return web.Response(text=text, content_type="text/html")


async def _start(request: web.Request, body: bytes, content_type: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": content_type})
    response.content_length = len(body)
    response.force_close()
    await response.prepare(request)
    return response
