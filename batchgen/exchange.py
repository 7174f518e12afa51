"""Requests and their replies over aiohttp, the usual ones without its session's general machinery.

What `ClientSession.request` does for the sake of redirects, cookies, middlewares, traces and its
own timers takes five times as much CPU as an exchange with a small body itself. Connections (pool,
TLS, names), the parsing of replies, decompression and streams are aiohttp's here too; only the head
is put together once for each host. What has a proxy or a streaming body goes through the session.

Of aiohttp it takes `BaseConnector.connect`, `ClientRequest`, and of the connection's protocol
`set_response_params`, `read` and `should_close`: the same from 3.11.0 to 3.14.5, as tried.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import aiohttp
import yarl
from aiohttp.client_proto import ResponseHandler
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from multidict import CIMultiDictProxy

_MOST_ORIGINS = 256
_MOST_UNASKED = 8
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # as aiohttp refuses them


class Incoming(Protocol):
    """A reply while it arrives."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def content(self) -> aiohttp.StreamReader: ...


class _Origin(NamedTuple):
    """A host as requests to it begin: what the connector knows it by, and the head's fixed part."""

    request: aiohttp.ClientRequest
    head: bytes


class Client:
    """A session, and its short way.

    headers: of every request, besides those that aiohttp adds (Host, Accept, Accept-Encoding).
    piece_bytes: of a reply, which are held until they are read.
    """

    def __init__(
        self,
        connector: aiohttp.BaseConnector,
        *,
        headers: Mapping[str, str],
        connect_s: float,
        piece_bytes: int,
    ) -> None:
        self._connector = connector
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_s)
        self.piece_bytes = piece_bytes
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            read_bufsize=piece_bytes,
        )
        self._origins: dict[str, _Origin] = {}

    async def close(self) -> None:
        """Let go of the connections."""
        await self._session.close()

    def request(
        self,
        method: str,
        url: yarl.URL,
        *,
        headers: Mapping[str, str],
        data: bytes | AsyncIterator[bytes] | None,
        proxy: str | None,
    ) -> AbstractAsyncContextManager[Incoming]:
        """A request that goes out when its context is entered; no redirect is followed.

        method: GET or POST. headers: of this request alone. data: the body of a POST. Raises
        ValueError for a header that would break out of its line, aiohttp's ClientError when it is
        entered. A GET goes out once more where its connection is found closed.
        """
        if proxy is None and (data is None or isinstance(data, bytes)) and not _has_user(url):
            origin = self._origin(url)
            wire = _wire(f"{method} {url.raw_path_qs} HTTP/1.1", origin.head, headers, data)
            return Exchange(self, origin.request, wire, repeats=method == "GET")
        return self._session.request(
            method, url, headers=headers, data=data, proxy=proxy, allow_redirects=False
        )

    def _origin(self, url: yarl.URL) -> _Origin:
        name = f"{url.scheme}://{url.raw_authority}"
        found = self._origins.get(name)
        if found is None:
            if len(self._origins) == _MOST_ORIGINS:
                self._origins.clear()
            request = aiohttp.ClientRequest(
                "GET",
                url.origin(),
                headers=self._session.headers,
                loop=asyncio.get_running_loop(),
                session=self._session,
            )
            found = self._origins[name] = _Origin(request, _lines(request.headers))
        return found

    async def connect(self, request: aiohttp.ClientRequest) -> Connection:
        """A connection to where a request goes. Raises aiohttp's ClientError.

        One on which its server has said something unasked is closed: that is no reply to this.
        """
        for _ in range(_MOST_UNASKED):
            try:
                connection = await self._connector.connect(
                    request, traces=[], timeout=self._timeout
                )
            except TimeoutError as error:
                told = f"no connection to {request.url.host}"
                raise aiohttp.ConnectionTimeoutError(told) from error
            if connection.protocol is not None and not connection.protocol.should_close:
                return connection
            connection.close()
        raise UnaskedError("the server speaks before it is asked")


class UnaskedError(aiohttp.ClientConnectionError):
    """A server that says something on every new connection; nothing was sent to it."""


class Exchange:
    """A request that goes out when this is entered, and its reply; whoever leaves lets go of it.

    The connection serves the next request if the reply has arrived whole.

    is_sent: whether anything of the request may have left.
    """

    __slots__ = (
        "_again",
        "_client",
        "_connection",
        "_request",
        "_wire",
        "content",
        "headers",
        "is_sent",
        "status",
    )

    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader
    _connection: Connection

    def __init__(
        self, client: Client, request: aiohttp.ClientRequest, wire: bytes, *, repeats: bool
    ) -> None:
        self._client = client
        self._request = request
        self._wire = wire
        self._again = repeats
        self.is_sent = False

    async def __aenter__(self) -> Self:
        try:
            await self._exchange()
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError):
            # The server may have closed a connection as it was taken out of the pool.
            if not (self._again and self.is_sent):
                raise
            await self._exchange()
        return self

    async def _exchange(self) -> None:
        connection = self._connection = await self._client.connect(self._request)
        try:
            message, self.content = await _reply(self._send(connection))
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientResponseError(
                self._request.request_info, (), status=error.code, message=error.message
            ) from error
        except BaseException:
            connection.close()
            raise
        self.status, self.headers = message.code, message.headers

    def _send(self, connection: Connection) -> ResponseHandler:
        protocol, transport = connection.protocol, connection.transport
        if protocol is None or transport is None:
            raise aiohttp.ServerDisconnectedError
        protocol.set_response_params(read_until_eof=True, read_bufsize=self._client.piece_bytes)
        self.is_sent = True
        transport.write(self._wire)
        return protocol

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        transport = self._connection.transport
        is_whole = self.content.is_eof()
        if is_whole and (transport is None or not transport.get_write_buffer_size()):
            self._connection.release()
        else:
            self._connection.close()


async def _reply(protocol: ResponseHandler) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """A reply's head, and its body; what goes before it, such as 103, is passed over."""
    while True:
        message, content = await protocol.read()
        if message.code // 100 != 1 or message.code == HTTPStatus.SWITCHING_PROTOCOLS:
            return message, content


def _has_user(url: yarl.URL) -> bool:
    return url.raw_user is not None or url.raw_password is not None


def _wire(line: str, head: bytes, headers: Mapping[str, str], body: bytes | None) -> bytes:
    if _CONTROL.search(line):
        raise ValueError("an address would break out of its line")
    begin = b"".join((line.encode(), b"\r\n", head, _lines(headers)))
    if body is None:
        return begin + b"\r\n"
    return b"".join((begin, b"Content-Length: %d\r\n\r\n" % len(body), body))


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = [f"{name}: {value}" for name, value in headers.items()]
    if _CONTROL.search("".join(lines)):
        raise ValueError("a header would break out of its line")
    return "\r\n".join([*lines, ""]).encode()
