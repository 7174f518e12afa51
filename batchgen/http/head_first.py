"""Hand the head of a reply to aiohttp before its body.

aiohttp's parser gets all bytes that one read of the socket returned. If the body begins with
invalid bytes, it raises an error and drops the head, which was valid: a rejected key, or the wait
that a 429 asks for. So the bytes are divided after the head.
"""

import asyncio
import re
from collections.abc import Callable
from typing import Protocol

import aiohttp

MAX_HEAD_BYTES = 256 * 1024
_END = re.compile(rb"\r?\n\r?\n")
_END_BYTES = 4
_INTERIM = re.compile(rb"HTTP/1\.[0-9] 1[0-9][0-9]")  # 1xx: another head follows
_START_BYTES = 12


class HugeHeadError(aiohttp.ClientConnectionError):
    """The head of a reply is too large."""


class _Parser(Protocol):
    """The part of aiohttp's protocol that is used here."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None: ...
    def connection_lost(self, exc: BaseException | None) -> None: ...
    def pause_writing(self) -> None: ...
    def resume_writing(self) -> None: ...
    def data_received(self, data: bytes) -> None: ...
    def eof_received(self) -> None: ...
    def set_exception(self, exc: BaseException) -> None: ...
    def exception(self) -> BaseException | None: ...


class HeadFirst(asyncio.Protocol):
    """Stands between a connection and aiohttp's protocol."""

    def __init__(self, parser: _Parser, transport: asyncio.Transport) -> None:
        self._parser = parser
        self._transport = transport

    def begin(self, on_broken_body: Callable[[], None]) -> None:
        """Expect the head of the next reply.

        on_broken_body: called when the parser refuses the body: it does not report that to the
            reader of the body.
        """
        self._on_broken_body = on_broken_body
        self._in_head = True
        self._start = b""
        self._tail = b""
        self._size_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Pass on the next bytes, those of a head separately."""
        while self._in_head and data:
            cut = self._end_of_head(data)
            self._parser.data_received(data[:cut])
            data = data[cut:]
            if self._size_bytes > MAX_HEAD_BYTES:
                message = f"the head of the reply is over {MAX_HEAD_BYTES // 1024} KB"
                self._parser.set_exception(HugeHeadError(message))
                self._transport.abort()
        if data and not self._transport.is_closing():
            self._parser.data_received(data)
            if self._parser.exception() is not None:
                self._on_broken_body()

    def _end_of_head(self, data: bytes) -> int:
        """Return the length of the part of `data` that belongs to this head."""
        window = self._tail + data
        self._start += data[: _START_BYTES - len(self._start)]
        end = _END.search(window)
        if end is None:
            self._tail = window[1 - _END_BYTES :]
            self._size_bytes += len(data)
            return len(data)
        cut = end.end() - len(self._tail)
        self._size_bytes += cut
        self._in_head = _INTERIM.match(self._start) is not None
        self._start = self._tail = b""
        return cut

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._parser.connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._parser.connection_lost(exc)

    def pause_writing(self) -> None:
        self._parser.pause_writing()

    def resume_writing(self) -> None:
        self._parser.resume_writing()

    def eof_received(self) -> None:
        self._parser.eof_received()


def divide_heads(
    transport: asyncio.Transport, parser: _Parser, on_broken_body: Callable[[], None]
) -> bool:
    """Divide the next reply on a connection after its head; return whether it is the first one."""
    current = transport.get_protocol()
    divider = current if isinstance(current, HeadFirst) else HeadFirst(parser, transport)
    divider.begin(on_broken_body)
    if divider is current:
        return False
    transport.set_protocol(divider)
    return True
