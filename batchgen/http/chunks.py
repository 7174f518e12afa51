"""The chunks of a reply's body, and threads that process the large ones.

Decoding, hashing and writing release the interpreter lock, so a second core does them while the
event loop continues to receive. If all threads are busy, the event loop processes the chunk itself:
no more chunks are in memory than there are threads.
"""

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Protocol

from batchgen.http.deadlines import Deadline
from batchgen.http.encodings import BodyDecoder

_THREADS = 2
_MIN_THREAD_BYTES = 32 * 1024  # processing fewer bytes costs less than switching threads


class ByteStream(Protocol):
    """The part of aiohttp's `StreamReader` that is used here."""

    def is_eof(self) -> bool: ...

    def at_eof(self) -> bool: ...

    def exception(self) -> BaseException | None: ...

    async def readany(self) -> bytes: ...


class ReplyBody:
    """The body of a reply while it arrives; each chunk renews the deadline of its request."""

    __slots__ = ("_deadline", "_decoder", "_pieces", "_stream")

    def __init__(self, stream: ByteStream, deadline: Deadline, content_encoding: str = "") -> None:
        """content_encoding: the header of the reply; `read_chunk` undoes it."""
        self._stream = stream
        self._deadline = deadline
        self._decoder = BodyDecoder(content_encoding)
        self._pieces: Iterator[bytes] = iter(())

    async def read_chunk(self) -> bytes:
        """Return the next decoded bytes; empty at the end.

        Raises UndecodableError and DamagedBodyError.
        """
        is_end = False
        while (piece := next(self._pieces, None)) is None and not is_end:
            chunk = await self.read_raw()
            is_end = not chunk
            self._pieces = self._decoder.finish() if is_end else self._decoder.feed(chunk)
        return piece or b""

    async def peek(self) -> bytes:
        """Return the first decoded bytes, at least 64 unless the body is shorter.

        `read_chunk` returns them again. Raises as `read_chunk`.
        """
        piece = await self.read_chunk()
        if piece:
            self._pieces = chain((piece,), self._pieces)
        return piece

    def take_undecoded(self) -> bytes:
        """Return what has arrived and is not yet returned by `read_chunk`, after an error of it."""
        return b"".join(self._decoder.finish())

    def limit_rest(self, seconds: float, close: Callable[[], None]) -> None:
        """Call `close` when reading on takes longer than this; see `Deadline.limit_rest`."""
        self._deadline.limit_rest(seconds, close)

    async def read_raw(self) -> bytes:
        """Return the next bytes as they arrive; empty at the end."""
        stream = self._stream
        if not stream.is_eof():  # else the whole body is in memory already
            self._deadline.renew()
        elif stream.at_eof() and stream.exception() is None:
            return b""
        return await stream.readany()


class ChunkThreads:
    """A few threads that process large chunks."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="chunk")
        self._free = _THREADS

    async def run(self, process: Callable[[bytes], None], chunk: bytes) -> None:
        """Call `process(chunk)`; return or raise, even if cancelled, only when it has ended."""
        if len(chunk) < _MIN_THREAD_BYTES or not self._free:
            process(chunk)
            return
        self._free -= 1
        try:
            await _finish(asyncio.get_running_loop().run_in_executor(self._threads, process, chunk))
        finally:
            self._free += 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


async def _finish(work: "asyncio.Future[None]") -> None:
    """Wait for a thread; postpone a cancellation until it has ended.

    The caller closes the file that the thread writes to.
    """
    cancelled: asyncio.CancelledError | None = None
    while not work.done():
        try:
            await asyncio.wait((work,))
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        work.exception()  # else asyncio logs that the exception was never retrieved
        raise cancelled
    work.result()
