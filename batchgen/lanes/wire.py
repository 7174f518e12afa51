"""Messages between the main process and a lane, over a socket pair that both were born with.

A frame is its length and a pickled list of messages: what is told in one turn of the event loop
goes out together. Both ends run the same code, and no third process ever has the socket.
"""

import asyncio
import pickle
from collections.abc import Callable
from typing import Any, TypeAlias, cast

Message: TypeAlias = tuple[Any, ...]

_LENGTH_BYTES = 4
_PROTOCOL = 5


class Wire(asyncio.Protocol):
    """One end of the socket.

    hear: takes each message in turn. lost: is called when the other end is gone.
    """

    def __init__(self, hear: Callable[[Message], None], lost: Callable[[], None]) -> None:
        self._hear = hear
        self._lost = lost
        self._loop = asyncio.get_running_loop()
        self._untold: list[Message] = []
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # asyncio's
        self._transport = None
        self._lost()

    def tell(self, message: Message) -> None:
        """Send a message before long; what is told to nobody any more is dropped."""
        if not self._untold:
            self._loop.call_soon(self._flush)
        self._untold.append(message)

    def close(self) -> None:
        """Let the other end know that there is no more to come."""
        if self._transport is not None:
            self._flush()
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        unread = self._unread
        unread += data
        start = 0
        while len(unread) - start >= _LENGTH_BYTES:
            body = start + _LENGTH_BYTES
            end = body + int.from_bytes(unread[start:body], "big")
            if len(unread) < end:
                break
            with memoryview(unread) as view:
                messages = pickle.loads(view[body:end])  # noqa: S301  # see above: it is our own
            for message in messages:
                self._hear(message)
            start = end
        if start:
            del unread[:start]

    def _flush(self) -> None:
        untold, self._untold = self._untold, []
        if untold and self._transport is not None:
            frame = pickle.dumps(untold, _PROTOCOL)
            self._transport.write(len(frame).to_bytes(_LENGTH_BYTES, "big") + frame)
