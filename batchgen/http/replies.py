"""Read a reply while it arrives: large payloads go to disk, the JSON that is left to memory."""

import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import aiohttp
from msgspec.structs import replace

from batchgen.http.base64_text import PayloadError, TooLongError
from batchgen.http.chunks import ChunkThreads, ReplyBody
from batchgen.http.encodings import DamagedBodyError, UndecodableError
from batchgen.http.files import checked_file, is_file
from batchgen.http.payload_decoder import PayloadDecoder
from batchgen.http.secrets import Secrets
from batchgen.media.formats import sniff
from batchgen.types import FaultKind, HttpResponse, NetworkFault, Reply, SinkFactory, Spooled

MAX_PAYLOAD_BYTES = 512 * 1024 * 1024
# Limits of the JSON without its payloads, and of the number of payloads.
_USUAL_LIMITS: Mapping[str, int] = {}
_LONG_LIMITS: Mapping[str, int] = {"max_rest_bytes": 256 * 1024 * 1024, "max_payloads": 10_000}
_MAX_ERROR_BYTES = 256 * 1024
_MAX_ERROR_S = 5.0
_CUT_FILE = "the file is truncated"
_LENGTH_HEADERS = frozenset({"content-length", "transfer-encoding"})  # either gives a body's end
_WHOLE_RANGE = re.compile(r"bytes 0-([0-9]{1,15})/([0-9]{1,15})")


class ReplyReader:
    """Reads the replies of a transport.

    open_sink: creates the temporary file that a payload is written to.
    secrets: cuts secrets from all text of a reply.
    """

    def __init__(self, threads: ChunkThreads, open_sink: SinkFactory, secrets: Secrets) -> None:
        self._threads = threads
        self._open_sink = open_sink
        self._secrets = secrets

    async def read(
        self,
        response: aiohttp.ClientResponse,
        body: ReplyBody,
        *,
        expects_long_reply: bool = False,
    ) -> Reply:
        """Read a reply of the provider. Raises StorageError if a payload cannot be written."""
        status = response.status
        headers = self.headers_of(response)
        if not is_success(response):
            return await self.read_error(response, body)
        limits = _LONG_LIMITS if expects_long_reply else _USUAL_LIMITS
        try:
            if is_file(headers.get("content-type", ""), await body.peek()):
                return await self.read_file(status, headers, body)
            return await self._read_json(status, headers, body, limits)
        except UndecodableError as error:
            return await self._keep_raw(status, headers, body, error)

    async def _read_json(
        self, status: int, headers: Mapping[str, str], body: ReplyBody, limits: Mapping[str, int]
    ) -> Reply:
        """Read a reply of JSON, with its payloads taken out."""
        decoder = PayloadDecoder(self._open_sink, max_payload_bytes=MAX_PAYLOAD_BYTES, **limits)
        finished = False
        try:
            # JSON shows whether it is whole, so a damaged end of its compression does not matter.
            with suppress(DamagedBodyError):
                while chunk := await body.read_chunk():
                    await self._threads.run(decoder.feed, chunk)
            rest, payloads = decoder.finish()
            payloads = tuple(map(checked_file, payloads))
            finished = True
        except TooLongError as error:
            beginning = await self._cut(decoder.beginning(), headers)
            return HttpResponse(status, headers, beginning, undecodable=str(error))
        except PayloadError as error:
            return NetworkFault(FaultKind.BAD_RESPONSE, str(error), sent=True)
        finally:
            if not finished:
                decoder.abort()
        rest = await self._cut(rest, headers)
        return HttpResponse(status, headers, rest, tuple(map(self._without_secrets, payloads)))

    async def read_file(
        self,
        status: int,
        headers: Mapping[str, str],
        body: ReplyBody,
        *,
        is_download: bool = False,
    ) -> Reply:
        """Read a reply whose body is the payload. Raises StorageError if it cannot be written.

        A file that ends early is a fault if it can be downloaded again, or if the reply does not
        say where it ends: then the connection may have broken off. Else its payload is `cut`.

        headers: without secrets.
        """
        refuse_cut = is_download or _LENGTH_HEADERS.isdisjoint(headers)
        try:
            payload = await self._spool(body.read_chunk, refuse_cut=refuse_cut)
        except UndecodableError as error:
            return await self._keep_raw(status, headers, body, error)
        if isinstance(payload, NetworkFault):
            is_whole = is_download and not _LENGTH_HEADERS.isdisjoint(headers)
            is_cut = is_whole and payload.message.startswith(_CUT_FILE)
            return replace(payload, kind=FaultKind.TRUNCATED) if is_cut else payload
        named = replace(self._without_secrets(payload), media_type=headers.get("content-type", ""))
        return HttpResponse(status, headers, b"", (named,))

    async def _keep_raw(
        self, status: int, headers: Mapping[str, str], body: ReplyBody, error: UndecodableError
    ) -> Reply:
        """Read the rest of a reply that cannot be decoded; its bytes are the payload."""
        seen = iter((error.seen,) if error.seen else ())

        async def read() -> bytes:
            return next(seen, None) or await body.read_raw()

        payload = await self._spool(read, refuse_cut=False)
        if isinstance(payload, NetworkFault):
            return payload
        reason = self._secrets.cut(str(error))
        return HttpResponse(
            status, headers, b"", (self._without_secrets(payload),), undecodable=reason
        )

    async def _spool(
        self, read: Callable[[], Awaitable[bytes]], *, refuse_cut: bool
    ) -> Spooled | NetworkFault:
        """Write a body to a sink; return its payload, or a fault if it is too large or cut.

        read: returns the next bytes, empty at the end.
        """
        sink = self._open_sink()
        finished = False
        size = 0
        try:
            while chunk := await read():
                size += len(chunk)
                if size > MAX_PAYLOAD_BYTES:
                    message = f"the file is over {MAX_PAYLOAD_BYTES // 1024**2} MB"
                    return NetworkFault(FaultKind.BAD_RESPONSE, message, sent=True)
                await self._threads.run(sink.write, chunk)
            payload = checked_file(sink.close())
            if refuse_cut and payload.cut:
                message = f"{_CUT_FILE}: {payload.cut}"
                return NetworkFault(FaultKind.BAD_RESPONSE, message, sent=True)
            finished = True
        finally:
            if not finished:
                sink.discard()
        return payload

    def headers_of(self, response: aiohttp.ClientResponse) -> dict[str, str]:
        """Return the headers of a reply without secrets, with their names in lower case."""
        return self._secrets.cut_headers(response.headers)

    async def read_error(self, response: aiohttp.ClientResponse, body: ReplyBody) -> HttpResponse:
        """Read a reply that is no 2xx, as far as it arrives."""
        headers = self.headers_of(response)
        error_body = await _read_error_body(response, body)
        return HttpResponse(response.status, headers, await self._cut(error_body, headers))

    async def _cut(self, body: bytes, headers: Mapping[str, str]) -> bytes:
        """Return a body without secrets."""
        cut = body

        def work(data: bytes) -> None:
            nonlocal cut
            cut = self._secrets.cut_body(data, headers.get("content-type", ""))

        await self._threads.run(work, body)
        return cut

    def _without_secrets(self, payload: Spooled) -> Spooled:
        """Return a payload without secrets if it is no known file; it may be a text.

        Its first bytes may be part of a message, and a reply that cannot be used is kept. Of one
        that is not in memory only the first bytes are read.
        """
        if sniff(payload.head) is not None:
            return payload
        if payload.data is None:
            return replace(payload, head=self._secrets.cut_bytes(payload.head))
        data = self._secrets.cut_bytes(payload.data)
        return replace(payload, data=data, size_bytes=len(data), head=data[: len(payload.head)])


def is_success(response: aiohttp.ClientResponse) -> bool:
    """Return whether the status is 2xx."""
    return response.status // 100 == 2  # noqa: PLR2004  # a class of statuses


def content_encoding(response: aiohttp.ClientResponse) -> str:
    """Return the Content-Encoding of a reply, of several headers too; empty if it has none."""
    return ",".join(response.headers.getall("Content-Encoding", ()))


def is_whole_file(headers: Mapping[str, str]) -> bool:
    """Return whether a 206 reply (partial content) has the whole file."""
    match = _WHOLE_RANGE.fullmatch(headers.get("content-range", ""))
    return match is not None and int(match[2]) == int(match[1]) + 1


async def _read_error_body(response: aiohttp.ClientResponse, body: ReplyBody) -> bytes:
    """Return the beginning of an error's body, as far as it arrives within a few seconds.

    Status and headers decide about an error, so nothing that happens to its body is raised.
    """
    body.limit_rest(_MAX_ERROR_S, response.close)
    data = b""
    with suppress(aiohttp.ClientError, OSError, UndecodableError):
        while len(data) < _MAX_ERROR_BYTES and (chunk := await body.read_chunk()):
            data += chunk
    with suppress(OSError, UndecodableError):
        data += body.take_undecoded()
    return data[:_MAX_ERROR_BYTES]
