"""Send requests to the provider, and fetch the files that its replies name.

Requests and downloads have separate clients, so that the key goes to the provider only. Clients for
requests add the key and follow no redirect; clients for downloads never have the key.
"""

from collections.abc import AsyncIterator
from types import TracebackType
from typing import Self, TypeAlias

import aiohttp
import yarl
from msgspec.structs import replace
from multidict import CIMultiDict

from batchgen.http.certificates import tls_settings
from batchgen.http.chunks import ChunkThreads, ReplyBody
from batchgen.http.client import Client
from batchgen.http.deadlines import Deadline, Deadlines
from batchgen.http.downloads import Downloads
from batchgen.http.faults import http_proxy_fault, network_fault
from batchgen.http.proxy import proxy_for
from batchgen.http.replies import ReplyReader, content_encoding
from batchgen.http.request_body import BodyStream, encode_body
from batchgen.http.secrets import Secrets
from batchgen.http.service import Service
from batchgen.types import FaultKind, HttpRequest, NetworkFault, Reply, SinkFactory

_Data: TypeAlias = bytes | AsyncIterator[bytes] | None
# A server answers a long poll late, so each long poll occupies a connection for a while.
_MAX_ROUTES = 1000
_MAX_LONG_POLLS = 64
_LONG_POLL_S = 40  # Luma's servers answer after 30 s at most
_ACCEPT = {"Accept": "application/json, audio/*;q=0.9"}


class AiohttpTransport:
    """A `Transport` that uses aiohttp; use it as an async context manager.

    connections: the most requests in flight, and the most downloads.
    open_sink: creates the temporary file that a payload is written to.
    Raises UsageError if a file of the service's `ca_bundles` has no certificates.
    """

    _api: Client
    _long_polls: Client
    _deadlines: Deadlines
    _downloads: Downloads
    _reader: ReplyReader
    _threads: ChunkThreads

    def __init__(self, service: Service, *, connections: int, open_sink: SinkFactory) -> None:
        self._service = service
        self._open_sink = open_sink
        self._connections = connections
        self._tls = tls_settings(
            service.ca_bundles, is_https=service.base_url.lower().startswith("https:")
        )
        self._secrets = Secrets(service.secrets)
        self._failed_handshakes = 0
        self._routes: dict[str, tuple[yarl.URL, str | None]] = {}
        self._open_long_polls = 0

    async def __aenter__(self) -> Self:
        service = self._service
        self._threads = ChunkThreads()
        self._deadlines = Deadlines(service.timeouts, service.timeout_s)
        self._reader = ReplyReader(self._threads, self._open_sink, self._secrets)
        headers = _api_headers(service)
        self._downloads = Downloads(
            service,
            connections=self._connections,
            tls=self._tls,
            deadlines=self._deadlines,
            reader=self._reader,
        )
        learn = self._downloads.guard.learn
        self._api = Client(self._connections, headers, tls=self._tls, on_connect=learn)
        self._long_polls = Client(_MAX_LONG_POLLS, headers, tls=self._tls, on_connect=learn)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._deadlines.close()
        await self._api.close()
        await self._long_polls.close()
        await self._downloads.close()
        self._threads.close()

    async def send(self, request: HttpRequest, idempotency_key: str) -> Reply:
        """Send a request once; an empty key is not sent.

        Raises StorageError if a payload cannot be written.
        """
        if not request.long_poll_path or not self._may_long_poll():
            return self._cut(await self._send(request, idempotency_key, self._api))
        self._open_long_polls += 1
        try:
            long_poll = replace(request, path=request.long_poll_path)
            return self._cut(await self._send(long_poll, idempotency_key, self._long_polls))
        finally:
            self._open_long_polls -= 1

    async def fetch(self, url: str) -> Reply:
        """Get a payload by its URL; see `Downloads.fetch`."""
        return self._cut(await self._downloads.fetch(url))

    def _cut(self, reply: Reply) -> Reply:
        """Return the reply; a fault without secrets, which a malformed reply may repeat."""
        if isinstance(reply, NetworkFault):
            return replace(reply, message=self._secrets.cut(reply.message))
        return reply

    def _may_long_poll(self) -> bool:
        timeout_s = self._service.timeouts.first_byte_s or self._service.timeout_s
        return self._open_long_polls < _MAX_LONG_POLLS and timeout_s >= _LONG_POLL_S

    async def _send(self, request: HttpRequest, idempotency_key: str, client: Client) -> Reply:
        keys = self._service.key_headers if idempotency_key else ()
        headers = dict.fromkeys(keys, idempotency_key)
        data: _Data = None
        stream: BodyStream | None = None
        if request.method != "GET":
            body = encode_body(request)
            stream = BodyStream(body)
            data = stream.data()
            headers["Content-Type"] = body.content_type
            if not isinstance(data, bytes):
                headers["Content-Length"] = str(body.size_bytes)
        url, proxy = self._route(request.path)
        if proxy is not None:  # else the connection shows the address
            await self._downloads.decide()
        deadline = Deadline(self._deadlines)
        try:
            async with (
                deadline,
                client.slots,
                await client.open(
                    request.method, url, headers=headers, data=data, proxy=proxy
                ) as response,
            ):
                if refusal := http_proxy_fault(response.status, url, proxy):
                    return refusal
                reply_body = ReplyBody(response.content, deadline, content_encoding(response))
                return await self._reader.read(
                    response, reply_body, expects_long_reply=request.expects_long_reply
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if stream is not None and stream.fault is not None:
                return stream.fault
            fault = network_fault(error, deadline, proxy=proxy)
            return self._without_tls(fault) if deadline.is_handshaking else fault

    def _without_tls(self, fault: NetworkFault) -> NetworkFault:
        """Return the fault of a handshake without an answer: not a passing one if none worked."""
        if self._api.has_connected or fault.kind is FaultKind.TLS:
            return fault
        self._failed_handshakes += 1
        return replace(fault, kind=FaultKind.TLS) if self._failed_handshakes > 1 else fault

    def _route(self, path: str) -> tuple[yarl.URL, str | None]:
        """Return the URL of a path below the provider's host, and the proxy to it."""
        route = self._routes.get(path)
        if route is None:
            if len(self._routes) >= _MAX_ROUTES:  # every poll of a job has its own
                self._routes.clear()
            url = yarl.URL(self._service.url(path), encoded=True)
            route = self._routes[path] = url, proxy_for(url, self._service.proxies)
        return route


def _api_headers(service: Service) -> CIMultiDict[str]:
    """Return the headers of every request; headers of the job replace the default ones."""
    headers = CIMultiDict(_ACCEPT)
    if service.api_key:
        headers["Authorization"] = f"Bearer {service.api_key}"
    headers.update(service.headers)
    for name in service.key_headers:
        headers.popall(name, None)  # each request has its own
    return headers
