"""`python -m tests.bench.plain_server FD ROOT LATENCY_S`: serve files from memory.

It uses no framework and supports only the HTTP that the measured programs use: requests with or
without Content-Length, one after the other on a connection. LATENCY_S: seconds before each reply.
"""

import asyncio
import re
import resource
import socket
import sys
from pathlib import Path
from typing import cast

_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Connection(asyncio.Protocol):
    """Answers each complete request with fixed bytes."""

    def __init__(self, replies: dict[bytes, bytes], latency_s: float) -> None:
        self._replies = replies
        self._latency_s = latency_s
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while (end := _request_end(self._received)) is not None:
            target = self._received.split(b" ", 2)[1]
            self._received = self._received[end:]
            self._answer(self._replies.get(target, _MISSING))

    def _answer(self, reply: bytes) -> None:
        if self._latency_s:
            loop = asyncio.get_running_loop()
            loop.call_later(self._latency_s, self._transport.write, reply)
        else:
            self._transport.write(reply)


def _request_end(received: bytes) -> int | None:
    head = received.find(b"\r\n\r\n")
    if head < 0:
        return None
    match = _LENGTH.search(received, 0, head)
    end = head + 4 + (int(match[1]) if match else 0)
    return end if len(received) >= end else None


def _replies(root: Path) -> dict[bytes, bytes]:
    paths = (path for path in root.rglob("*") if path.is_file())
    return {f"/{path.relative_to(root).as_posix()}".encode(): _reply(path) for path in paths}


def _reply(path: Path) -> bytes:
    data = path.read_bytes()
    kind = "image/png" if path.suffix == ".png" else "application/json"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


async def _serve(descriptor: int, root: Path, latency_s: float) -> None:
    replies = _replies(root)
    listener = socket.socket(fileno=descriptor)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(replies, latency_s), sock=listener)
    await server.serve_forever()


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_serve(int(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[3])))
