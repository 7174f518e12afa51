"""HTTP values: requests, replies, payloads, faults, timeouts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, TypeAlias

import msgspec

from batchgen.types.manifest import Input


class HttpRequest(msgspec.Struct, frozen=True):
    """A request of an endpoint: a path below the provider's host, and the fields of the body.

    body: may contain files, also inside of tuples and mappings.
    multipart: the body is a form with unencoded files; else it is JSON with files as `data:` URLs.
    long_poll_path: the path at which the server answers only when the state has changed, or after
        half a minute; empty if there is none.
    required_ids: names of the ids that the reply must have, for the task's later requests.
    expects_long_reply: the reply may be tens of megabytes of JSON: vectors, transcripts, hex.
    """

    method: str
    path: str
    body: Mapping[str, Input]
    multipart: bool = False
    long_poll_path: str = ""
    required_ids: tuple[str, ...] = ()
    expects_long_reply: bool = False


class Spooled(msgspec.Struct, frozen=True):
    """A complete payload: in memory if it is small, else in a temporary file.

    path: of the temporary file in the output directory, created at the latest when published.
    sha256: empty for bytes in memory, which are hashed when they are published.
    head: the first bytes (at most 4096), enough to detect the type.
    data: all bytes if they are in memory.
    media_type: the provider's Content-Type, used if the bytes do not show the type.
    cut: why the file is incomplete (`a PNG without its end`); empty if it is whole.
    """

    path: str
    size_bytes: int
    sha256: str
    head: bytes
    data: bytes | None = None
    media_type: str = ""
    cut: str = ""


class RemotePayload(msgspec.Struct, frozen=True):
    """A payload to be downloaded; the URL's query string is never re-encoded."""

    url: str


class GeneratedPayload(msgspec.Struct, frozen=True):
    """A payload generated from a reply (text, vectors); media_type: empty if the bytes show it."""

    data: bytes
    media_type: str = ""


Payload: TypeAlias = Spooled | RemotePayload | GeneratedPayload


class HttpResponse(msgspec.Struct, frozen=True):
    """A reply, with its large payloads separated from the body.

    headers: with names in lower case.
    body: the remaining bytes, empty if the whole body is the file in `payloads`. In JSON, the
        string `batchgen-payload:N` replaces a base64 string or `data:` URL, and
        `batchgen-broken:N` one that cannot be decoded; N is the index into `payloads`, or a number.
    undecodable: why a 2xx reply was not read: its Content-Encoding could not be undone, and the
        bytes as they arrived are the only payload; or it is too long, and `body` is its beginning.
        Empty for all other replies.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    payloads: tuple[Spooled, ...] = ()
    undecodable: str = ""


class FaultKind(StrEnum):
    """Why there is no usable reply."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    PROXY = "proxy"  # the proxy refuses for good: the request has not left it
    TLS = "tls"  # the certificate is not trusted, or the port speaks no TLS
    BAD_RESPONSE = "bad_response"
    TRUNCATED = "truncated"  # a file that ends early although all of its reply arrived
    UNREADABLE = "unreadable"  # a reply that will be the same again, such as one with a huge header
    UNSAFE_URL = "unsafe_url"  # a reply names a URL that must not be fetched
    INPUT_FILE = "input_file"  # a file to be sent is missing or has changed since it was checked


class NetworkFault(msgspec.Struct, frozen=True):
    """No complete reply; `sent`: whether the request may have reached the provider."""

    kind: FaultKind
    message: str
    sent: bool


Reply: TypeAlias = HttpResponse | NetworkFault


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of the parts of a request, in seconds.

    connect_s: until the connection is ready. first_byte_s: from the request to the first byte of
    its reply; None if only the total timeout applies. stall_s: between two chunks of a reply.
    """

    connect_s: float = 30.0
    first_byte_s: float | None = None
    stall_s: float = 60.0


class PayloadSink(Protocol):
    """Stores the bytes of one payload while they arrive.

    `discard` deletes them, closed or not; harmless when repeated.
    """

    def write(self, data: bytes) -> None: ...
    def close(self) -> Spooled: ...
    def discard(self) -> None: ...


SinkFactory: TypeAlias = Callable[[], PayloadSink]
