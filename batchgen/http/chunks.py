"""The bodies of replies piece by piece, and the threads that help with the heavy ones.

Decoding, hashing and writing release the interpreter, so that a second core does them while the
event loop goes on receiving. Where all helpers are busy the loop does a piece itself: so no more
pieces are held than there are helpers.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

from batchgen.http.deadlines import Deadline

_HELPERS = 2
_WORTH_BYTES = 32 * 1024  # a change of threads costs as much as such a piece


class Content(Protocol):
    """What aiohttp's StreamReader is here."""

    def is_eof(self) -> bool: ...

    def at_eof(self) -> bool: ...

    def exception(self) -> BaseException | None: ...

    async def readany(self) -> bytes: ...


class Body:
    """A body as it arrives; each piece renews the deadline of its request."""

    __slots__ = ("_content", "_deadline")

    def __init__(self, content: Content, deadline: Deadline) -> None:
        self._content = content
        self._deadline = deadline

    async def piece(self) -> bytes:
        """The next bytes; none at the end."""
        content = self._content
        if not content.is_eof():  # else all of it is here already
            self._deadline.renew()
        elif content.at_eof() and content.exception() is None:
            return b""
        return await content.readany()


class Helpers:
    """A few threads that work on large pieces."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_HELPERS, thread_name_prefix="piece")
        self._free = _HELPERS

    async def work(self, on: Callable[[bytes], None], piece: bytes) -> None:
        """Have `on(piece)` done; returns, cancelled or not, only when nobody works on it."""
        if len(piece) < _WORTH_BYTES or not self._free:
            on(piece)
            return
        self._free -= 1
        try:
            await _to_the_end(asyncio.get_running_loop().run_in_executor(self._threads, on, piece))
        finally:
            self._free += 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


async def _to_the_end(work: "asyncio.Future[None]") -> None:
    """Wait for a thread; cancelled, only then: nobody may close the file that it writes to."""
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # else it is told as never looked at
        raise cancelled
    work.result()
