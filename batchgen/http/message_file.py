"""A reply as a file that a person can read and batchgen can read again: head, blank line, body.

The format is that of an HTTP message (RFC 9112, 2.1), with the body decoded: payloads are written
as `data:` URLs where they were taken from. Cookies and the headers of the connection are left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import BinaryIO, Protocol

import pybase64
from msgspec.structs import replace

from batchgen.http.base64_text import PayloadError
from batchgen.http.encodings import BodyDecoder, DamagedBodyError, UndecodableError
from batchgen.http.files import checked_file, is_file
from batchgen.http.payload_decoder import PLACEHOLDER, PayloadDecoder
from batchgen.types import HttpResponse, SinkFactory, Spooled

MAX_BODY_BYTES = 64 * 1024 * 1024  # of a kept reply; the rest of a longer one is left out
_CHUNK_BYTES = 3 * 64 * 1024  # a multiple of three, so that base64 has no padding inside
_MAX_HEAD_BYTES = 256 * 1024
_HEAD_BYTES = 64  # they show whether a body is a file
_LEFT_OUT = frozenset(
    {
        *("content-length", "transfer-encoding", "connection", "keep-alive", "trailer"),
        *("set-cookie", "set-cookie2"),
    }
)
_CUT = "x-batchgen-cut"
_PLACEHOLDER = re.compile(re.escape(PLACEHOLDER.encode()) + rb"([0-9]{1,6})(?=\")")
_STATUS_LINE = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})\s*")


class OpenPayload(Protocol):
    """Opens the bytes of a payload for reading."""

    def __call__(self, payload: Spooled) -> BinaryIO: ...


def write_message(response: HttpResponse, open_payload: OpenPayload) -> Iterator[bytes]:
    """Yield the file of a reply in chunks; the body has at most MAX_BODY_BYTES.

    Raises OSError if a payload cannot be read.
    """
    body = _cut(_body(response, open_payload), MAX_BODY_BYTES)
    size_bytes = _size_bytes(response)
    is_encoded = bool(response.undecodable) and not response.body
    yield f"HTTP/1.1 {response.status}\r\n".encode()
    for name, value in response.headers.items():
        is_undone = name == "content-encoding" and not is_encoded
        if name not in _LEFT_OUT and not is_undone:
            yield f"{name}: {value}\r\n".encode("utf-8", "replace")
    if size_bytes > MAX_BODY_BYTES:
        yield f"{_CUT}: {MAX_BODY_BYTES} of {size_bytes} bytes\r\n".encode()
    elif response.undecodable and response.body:
        yield f"{_CUT}: {response.undecodable}\r\n".encode("utf-8", "replace")
    yield b"\r\n"
    yield from body


def read_message(file: BinaryIO, open_sink: SinkFactory) -> HttpResponse | None:
    """Return the reply of a file, with its payloads in sinks; None if it is not whole.

    Raises OSError, and StorageError if a payload cannot be written.
    """
    head = _read_head(file)
    if head is None or _CUT in head[1]:
        return None
    status, headers = head
    chunks = _decoded(file, headers)
    try:
        first = next(chunks, b"")
        chunks = chain((first,), chunks)
        if is_file(headers.get("content-type", ""), first[:_HEAD_BYTES]):
            payload = _spooled(chunks, open_sink)
            named = replace(payload, media_type=headers.get("content-type", ""))
            return HttpResponse(status, headers, b"", (named,))
        rest, payloads = _without_payloads(chunks, open_sink)
    except (PayloadError, UndecodableError, DamagedBodyError):
        return None
    return HttpResponse(status, headers, rest, payloads)


def _decoded(file: BinaryIO, headers: Mapping[str, str]) -> Iterator[bytes]:
    """Yield the body with its Content-Encoding undone, which this version may know how to do."""
    decoder = BodyDecoder(headers.get("content-encoding", ""))
    while chunk := file.read(_CHUNK_BYTES):
        yield from decoder.feed(chunk)
    yield from decoder.finish()


def _spooled(chunks: Iterable[bytes], open_sink: SinkFactory) -> Spooled:
    sink = open_sink()
    finished = False
    try:
        for chunk in chunks:
            sink.write(chunk)
        payload = checked_file(sink.close())
        finished = True
    finally:
        if not finished:
            sink.discard()
    return payload


def _without_payloads(
    chunks: Iterable[bytes], open_sink: SinkFactory
) -> tuple[bytes, tuple[Spooled, ...]]:
    decoder = PayloadDecoder(
        open_sink, max_payload_bytes=MAX_BODY_BYTES, max_rest_bytes=MAX_BODY_BYTES
    )
    finished = False
    try:
        for chunk in chunks:
            decoder.feed(chunk)
        rest, payloads = decoder.finish()
        payloads = tuple(map(checked_file, payloads))
        finished = True
    finally:
        if not finished:
            decoder.abort()
    return rest, payloads


def _body(response: HttpResponse, open_payload: OpenPayload) -> Iterator[bytes]:
    if response.payloads and not response.body:  # the body is the payload
        yield from _bytes_of(response.payloads[0], open_payload)
        return
    end = 0
    for match in _PLACEHOLDER.finditer(response.body):
        number = int(match[1])
        if number >= len(response.payloads):
            continue
        yield response.body[end : match.start()]
        yield b"data:;base64,"
        for chunk in _bytes_of(response.payloads[number], open_payload):
            yield pybase64.b64encode(chunk)
        end = match.end()
    yield response.body[end:]


def _bytes_of(payload: Spooled, open_payload: OpenPayload) -> Iterator[bytes]:
    with open_payload(payload) as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


def _size_bytes(response: HttpResponse) -> int:
    """Return the size of the body in the file; base64 is a third longer than its bytes."""
    sizes = sum(payload.size_bytes for payload in response.payloads)
    if not response.body:
        return sizes
    return len(response.body) + -(-sizes * 4 // 3)


def _cut(chunks: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    left = max_bytes
    for chunk in chunks:
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


def _read_head(file: BinaryIO) -> tuple[int, Mapping[str, str]] | None:
    status = _STATUS_LINE.fullmatch(file.readline(_MAX_HEAD_BYTES))
    if status is None:
        return None
    headers: dict[str, str] = {}
    read_bytes = 0
    while (line := file.readline(_MAX_HEAD_BYTES)) not in (b"\r\n", b""):
        read_bytes += len(line)
        if read_bytes > _MAX_HEAD_BYTES:
            return None
        name, _, value = line.decode("utf-8", "replace").partition(":")
        headers[name.strip().lower()] = value.strip()
    return int(status[1]), headers
