"""Values of the HTTP edge: requests, replies, payloads, faults, timeouts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from batchgen.types.manifest import Input


class HttpRequest(msgspec.Struct, frozen=True):
    """What an endpoint wants sent: a path below the provider's host, and the body's fields.

    body: files stand in it as they are, or deeper inside in tuples and mappings.
    multipart: the body is a form, with files as they are; else it is JSON, with files as `data:`
        URLs.
    waiting: the path under which the server answers only when there is news, or half a minute
        later; empty where it has none.
    brings: ids that the reply has to bring, for the requests of the task that come after it.
    is_long: the reply may be tens of megabytes of JSON: vectors, transcripts, digits.
    """

    method: str
    path: str
    body: Mapping[str, Input]
    multipart: bool = False
    long_poll_path: str = ""
    required_ids: tuple[str, ...] = ()
    expects_long_reply: bool = False


class Spooled(msgspec.Struct, frozen=True):
    """A payload that has arrived whole: in memory if it is small, else in a temporary file.

    path: of the temporary file of the output directory, made when it is published if not before.
    sha256: empty for bytes in memory, which are hashed when they are published.
    head: the first bytes (at most 4096), enough to tell the type.
    data: all bytes, where they are in memory.
    media_type: what the provider calls it, which counts where the bytes tell nothing.
    """

    path: str
    size_bytes: int
    sha256: str
    head: bytes
    data: bytes | None = None
    media_type: str = ""


class RemotePayload(msgspec.Struct, frozen=True):
    """A payload to be fetched; the URL's query string is never re-encoded."""

    url: str


class GeneratedPayload(msgspec.Struct, frozen=True):
    """A payload made from the reply itself: a text, a vector. media_type: empty if bytes tell."""

    data: bytes
    media_type: str = ""


Payload: TypeAlias = Spooled | RemotePayload | GeneratedPayload


class HttpResponse(msgspec.Struct, frozen=True):
    """A reply whose large payloads were taken out while it arrived.

    headers: names in lower case.
    body: the bytes that are left. Where a base64 string stood (or a `data:` URL), the JSON holds
        the string `batchgen-payload:N`, N being the index into `payloads`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    payloads: tuple[Spooled, ...] = ()


class FaultKind(StrEnum):
    """Why no usable reply came."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    BAD_RESPONSE = "bad_response"
    UNSAFE_URL = "unsafe_url"  # a reply pointed to where nothing may be fetched from
    INPUT_FILE = "input_file"  # a file to be sent is gone, or is not the one that was looked at


class NetworkFault(msgspec.Struct, frozen=True):
    """No complete reply. `sent` tells that the request may have reached the provider."""

    kind: FaultKind
    message: str
    sent: bool


Reply: TypeAlias = HttpResponse | NetworkFault


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of the parts of a request, in seconds.

    connect: until there is a connection. first_byte: from the request to the beginning of its
    reply; None is the timeout of the whole. stall: between two pieces of a reply.
    """

    connect_s: float = 30.0
    first_byte_s: float | None = None
    stall_s: float = 60.0


class PayloadSink(Protocol):
    """Where the bytes of one payload go while they arrive.

    discard removes what was written, closed or not, and is harmless when repeated.
    """

    def write(self, data: bytes) -> None: ...
    def close(self) -> Spooled: ...
    def discard(self) -> None: ...


SinkFactory: TypeAlias = Callable[[], PayloadSink]
