"""Sends requests and fetches what replies point to; large payloads stream to disk.

Clients apart, so that the key can only go where it belongs: the provider's adds it and follows no
redirect, that for downloads never has it and asks the guard before every hop.
"""

import re
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urljoin

import aiohttp
import yarl
from msgspec.structs import replace
from multidict import CIMultiDict

from batchgen._version import __version__
from batchgen.errors import UsageError
from batchgen.http.chunks import Body, Helpers
from batchgen.http.client import Client, UnsendableError
from batchgen.http.deadlines import Deadline, Deadlines
from batchgen.http.payload_decoder import PayloadDecoder, PayloadError
from batchgen.http.proxy import proxy_for
from batchgen.http.request_body import Upload, body_of
from batchgen.http.service import Service
from batchgen.http.ssrf import Guard, GuardedResolver, GuardError, exact_url
from batchgen.media.formats import TAIL_BYTES, breaks_off
from batchgen.types import (
    FaultKind,
    HttpRequest,
    HttpResponse,
    NetworkFault,
    PayloadSink,
    Reply,
    Spooled,
)

MOST_PAYLOAD_BYTES = 512 * 1024 * 1024
# Of the JSON that is left without its payloads, and of those.
_USUAL: Mapping[str, int] = {}
_LONG: Mapping[str, int] = {"max_rest_bytes": 256 * 1024 * 1024, "max_payloads": 10_000}
_MOST_ERROR_BYTES = 64 * 1024
_MOST_REDIRECTS = 5
# Questions that the server lets wait, at a time: each holds a connection of its own meanwhile.
_MOST_WAITING = 64
_LONGEST_WAIT_S = 40  # Luma's servers wait for 30 s at most
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_RANGE = re.compile(r"bytes 0-([0-9]{1,15})/([0-9]{1,15})")
_LENGTHS = frozenset({"content-length", "transfer-encoding"})  # either tells where a body ends
_ACCEPT = {"Accept": "application/json, audio/*;q=0.9"}
_AS_IT_IS = {"Accept-Encoding": "identity"}
_AGENT = {"User-Agent": f"batchgen/{__version__}"}


class AiohttpTransport:
    """The network's edge; use it as an async context manager.

    open_sink: makes the temporary file that a payload is written to.
    """

    def __init__(
        self,
        service: Service,
        *,
        connections: int,
        open_sink: Callable[[], PayloadSink],
    ) -> None:
        self._service = service
        self._open_sink = open_sink
        self._connections = connections
        self._guard = Guard(service.base_url)
        self._tls = _trusting(service.ca_file)
        self._addresses: dict[str, tuple[yarl.URL, str | None]] = {}
        self._waits = 0  # questions that the server lets wait

    async def __aenter__(self) -> Self:
        self._helpers = Helpers()
        self._deadlines = Deadlines(self._service.timeouts, self._service.timeout_s)
        own = CIMultiDict(_ACCEPT)
        if self._service.api_key:
            own["Authorization"] = f"Bearer {self._service.api_key}"
        own.update(self._service.headers)
        for name in self._service.key_headers:
            own.popall(name, None)  # each request has its own
        self._api = self._client(own)
        self._waiting = self._client(own, limit=_MOST_WAITING)
        self._resolver = GuardedResolver(self._guard)
        self._files = self._client(_AS_IT_IS, self._resolver)
        self._proxied_files = self._client(_AS_IT_IS)  # the resolver is for the proxy's name
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadlines.close()
        await self._api.close()
        await self._waiting.close()
        await self._files.close()
        await self._proxied_files.close()
        await self._resolver.close()
        self._helpers.close()

    def _client(
        self,
        headers: Mapping[str, str],
        resolver: aiohttp.abc.AbstractResolver | None = None,
        *,
        limit: int = 0,
    ) -> Client:
        own = CIMultiDict(_AGENT)
        own.update(headers)
        return Client(limit or self._connections, own, tls=self._tls, resolver=resolver)

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        """Send a request once; an empty key is not sent.

        Raises StorageError when a payload cannot be written.
        """
        if not request.waiting or not self._may_wait():
            return await self._send(request, idempotency_key, self._api)
        self._waits += 1
        try:
            patient = replace(request, path=request.waiting)
            return await self._send(patient, idempotency_key, self._waiting)
        finally:
            self._waits -= 1

    def _may_wait(self) -> bool:
        patience_s = self._service.timeouts.first_byte_s or self._service.timeout_s
        return self._waits < _MOST_WAITING and patience_s >= _LONGEST_WAIT_S

    async def _send(self, request: HttpRequest, idempotency_key: str, client: Client) -> Reply:
        keys = self._service.key_headers if idempotency_key else ()
        headers = dict.fromkeys(keys, idempotency_key)
        data: bytes | AsyncIterator[bytes] | None = None
        upload: Upload | None = None
        if request.method != "GET":
            body = body_of(request)
            upload = Upload(body)
            data = upload.data()
            headers["Content-Type"] = body.content_type
            if not isinstance(data, bytes):
                headers["Content-Length"] = str(body.size_bytes)
        url, proxy = self._address(request.path)
        deadline = Deadline(self._deadlines)
        try:
            async with (
                deadline,
                client.places,
                await client.open(
                    request.method, url, headers=headers, data=data, proxy=proxy
                ) as response,
            ):
                content = Body(response.content, deadline)
                return await self._read(response, content, is_long=request.is_long)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if upload is not None and upload.fault is not None:
                return upload.fault
            return _fault(error, deadline)

    def _address(self, path: str) -> tuple[yarl.URL, str | None]:
        """The URL of a path below the provider's host, and the proxy that leads there."""
        found = self._addresses.get(path)
        if found is None:
            url = yarl.URL(self._service.url(path), encoded=True)
            found = self._addresses[path] = url, proxy_for(url, self._service.proxies)
        return found

    async def _read(
        self, response: aiohttp.ClientResponse, body: Body, *, is_long: bool = False
    ) -> Reply:
        headers = self._shown(response.headers)
        if not _is_good(response):
            return HttpResponse(
                response.status, headers, self._without_secrets(await _error_body(body))
            )
        if _is_sound(headers):
            return await self._file(response.status, headers, body)
        bounds = _LONG if is_long else _USUAL
        decoder = PayloadDecoder(self._open_sink, max_payload_bytes=MOST_PAYLOAD_BYTES, **bounds)
        finished = False
        try:
            while piece := await body.piece():
                await self._helpers.work(decoder.feed, piece)
            rest, payloads = decoder.finish()
            finished = True
        except PayloadError as error:
            return NetworkFault(FaultKind.BAD_RESPONSE, str(error), sent=True)
        finally:
            if not finished:
                decoder.abort()
        return HttpResponse(response.status, headers, self._without_secrets(rest), payloads)

    def _shown(self, headers: Mapping[str, str]) -> dict[str, str]:
        """A reply's headers, as they may be told: one that redirects might repeat the key."""
        shown = _lower(headers)
        told = "\n".join(shown.values())
        for secret in self._service.secrets:
            if secret in told:
                shown = {name: value.replace(secret, "***") for name, value in shown.items()}
        return shown

    def _without_secrets(self, body: bytes) -> bytes:
        for secret in self._service.secrets:
            body = body.replace(secret.encode(), b"***")
        return body

    async def fetch(self, url: str) -> Reply:
        """Get a payload by its URL; a good reply has it as its only payload.

        The query string goes out as it came. Raises StorageError when it cannot be written.
        """
        for _ in range(_MOST_REDIRECTS + 1):
            refusal = self._guard.check_url(url)
            if refusal is not None:
                return NetworkFault(FaultKind.UNSAFE_URL, refusal, sent=False)
            deadline = Deadline(self._deadlines)
            try:
                reply, target = await self._get(url, deadline)
                if target is None:
                    return reply
                url = urljoin(url, target)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                refused = _guarded(error)
                return _fault(error, deadline) if refused is None else refused
            except ValueError as error:  # a host or redirect that no URL can have
                reason = f"not a URL that can be fetched ({error})"
                return NetworkFault(FaultKind.UNSAFE_URL, reason, sent=False)
        return NetworkFault(
            FaultKind.UNSAFE_URL, f"more than {_MOST_REDIRECTS} redirects", sent=False
        )

    async def _get(self, url: str, deadline: Deadline) -> tuple[Reply, str | None]:
        target = exact_url(url)
        proxy = proxy_for(target, self._service.proxies)
        if proxy is not None:
            await self._refuse_private(target)
        client = self._files if proxy is None else self._proxied_files
        async with (
            deadline,
            client.places,
            await client.open("GET", target, headers={}, data=None, proxy=proxy) as response,
        ):
            body = Body(response.content, deadline)
            headers = _lower(response.headers)
            if response.status in _REDIRECTS and "location" in headers:
                return HttpResponse(response.status, headers, b""), headers["location"]
            if response.status == HTTPStatus.PARTIAL_CONTENT and not _is_all(headers):
                part = "only a part of the file came (HTTP 206)"
                return NetworkFault(FaultKind.BAD_RESPONSE, part, sent=True), None
            if not _is_good(response):
                said = await _error_body(body)
                return HttpResponse(response.status, headers, said), None
            return await self._file(response.status, headers, body), None

    async def _refuse_private(self, url: yarl.URL) -> None:
        """Raise GuardError for a name that leads to where no reply may; the proxy resolves it.

        A name that only the proxy knows passes.
        """
        try:
            await self._resolver.resolve(url.raw_host or "", url.port or 0)
        except GuardError:
            raise
        except OSError:
            return

    async def _file(self, status: int, headers: Mapping[str, str], body: Body) -> Reply:
        """A reply that is itself the payload."""
        payload = await self._spool(body, has_length=not _LENGTHS.isdisjoint(headers))
        if isinstance(payload, NetworkFault):
            return payload
        told = replace(payload, media_type=headers.get("content-type", ""))
        return HttpResponse(status, headers, b"", (told,))

    async def _spool(self, body: Body, *, has_length: bool) -> Spooled | NetworkFault:
        """has_length: a body that is cut short is told as such; else only the file itself tells."""
        sink = self._open_sink()
        finished = False
        size = 0
        tail = b""
        try:
            while piece := await body.piece():
                size += len(piece)
                if size > MOST_PAYLOAD_BYTES:
                    limit = f"the file is over {MOST_PAYLOAD_BYTES // 1024**2} MB"
                    return NetworkFault(FaultKind.BAD_RESPONSE, limit, sent=True)
                if not has_length:
                    tail = (tail + piece)[-TAIL_BYTES:]
                await self._helpers.work(sink.write, piece)
            payload = sink.close()
            if not has_length and breaks_off(payload.head, tail, size):
                return NetworkFault(FaultKind.BAD_RESPONSE, "the file breaks off", sent=True)
            finished = True
        finally:
            if not finished:
                sink.discard()
        return payload


def _trusting(ca_file: Path | None) -> ssl.SSLContext | bool:
    """The TLS settings; raises UsageError for a file that holds no certificates."""
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # an ssl.SSLError is one
        why = "there is no such file" if isinstance(error, FileNotFoundError) else "no PEM file"
        raise UsageError(f"`ca_file` {ca_file}: {why} of certificates") from error
    return context


def _is_all(headers: Mapping[str, str]) -> bool:
    """Whether what is called a part is the whole file."""
    told = _RANGE.fullmatch(headers.get("content-range", ""))
    return told is not None and int(told[2]) == int(told[1]) + 1


def _is_good(response: aiohttp.ClientResponse) -> bool:
    return response.status // 100 == 2  # noqa: PLR2004  # a class of statuses


async def _error_body(body: Body) -> bytes:
    """What an error says: its beginning is enough."""
    said = b""
    while len(said) < _MOST_ERROR_BYTES and (piece := await body.piece()):
        said += piece
    return said[:_MOST_ERROR_BYTES]


def _is_sound(headers: Mapping[str, str]) -> bool:
    """Whether a reply to a request is a sound: speech comes without JSON around it."""
    return headers.get("content-type", "").lower().startswith("audio/")


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def _guarded(error: BaseException | None) -> NetworkFault | None:
    """The guard's refusal, where that is what lies behind an error of the client."""
    while error is not None:
        if isinstance(error, GuardError):
            return NetworkFault(FaultKind.UNSAFE_URL, str(error), sent=False)
        error = getattr(error, "os_error", None) or error.__cause__
    return None


def _fault(error: Exception, deadline: Deadline) -> NetworkFault:
    """Return why there is no reply, and whether the request may have been sent."""
    sent = deadline.is_sent and not isinstance(error, UnsendableError)
    if isinstance(error, TimeoutError) and not sent:
        return NetworkFault(FaultKind.TIMEOUT, "no connection in time", sent=False)
    for kind, fault, message in _FAULTS:
        if isinstance(error, kind):
            return NetworkFault(fault, message, sent=sent)
    return NetworkFault(FaultKind.CONNECTION, str(error) or type(error).__name__, sent=sent)


# The first that fits; of others, the error's own text.
_FAULTS: tuple[tuple[type[Exception], FaultKind, str], ...] = (
    (TimeoutError, FaultKind.TIMEOUT, "no complete reply in time"),
    (aiohttp.ClientPayloadError, FaultKind.CONNECTION, "the reply was cut short"),
    (aiohttp.ServerDisconnectedError, FaultKind.CONNECTION, "closed without a reply"),
    (aiohttp.ClientResponseError, FaultKind.BAD_RESPONSE, "the reply is broken HTTP"),
    (aiohttp.InvalidURL, FaultKind.BAD_RESPONSE, "not a URL that can be fetched"),
)
