"""Requests and their replies over aiohttp, the usual ones without its session's general machinery.

What `ClientSession.request` does for the sake of redirects, cookies, middlewares, traces and its
own timers takes five times as much CPU as an exchange with a small body itself. Connections (pool,
TLS, names), the parsing of replies, decompression and streams are aiohttp's here too; only the head
is put together once for each host. What has a proxy or a streaming body goes through the session.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from http import HTTPStatus
from types import TracebackType
from typing import NamedTuple, Protocol, Self

import aiohttp
import yarl
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError, RawResponseMessage
from multidict import CIMultiDictProxy

_MOST_ORIGINS = 256
_MOST_UNASKED = 8


class Reply(Protocol):
    """What is read of a reply."""

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
        self._piece_bytes = piece_bytes
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
    ) -> AbstractAsyncContextManager[Reply]:
        """A request that goes out when its context is entered; no redirect is followed.

        headers: of this request alone. data: its body, None where the method has none. Raises
        ValueError for a header that would break out of its line, aiohttp's ClientError when it is
        entered.
        """
        if proxy is None and (data is None or isinstance(data, bytes)) and not _has_user(url):
            origin = self._origin(url)
            wire = _wire(f"{method} {url.raw_path_qs} HTTP/1.1\r\n", origin.head, headers, data)
            return _Exchange(self, origin.request, wire)
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
                url,
                headers=self._session.headers,
                loop=asyncio.get_running_loop(),
                session=self._session,
            )
            found = self._origins[name] = _Origin(request, _lines(request.headers))
        return found

    async def sent(self, request: aiohttp.ClientRequest, wire: bytes) -> Connection:
        """A connection that a request has gone out over. Raises aiohttp's ClientError.

        One on which its server has said something unasked is closed: that is no reply to this.
        """
        for _ in range(_MOST_UNASKED):
            connection = await self._connected(request)
            protocol, transport = connection.protocol, connection.transport
            if protocol is not None and transport is not None and not protocol.should_close:
                protocol.set_response_params(read_until_eof=True, read_bufsize=self._piece_bytes)
                transport.write(wire)
                return connection
            connection.close()
        raise aiohttp.ClientResponseError(
            request.request_info, (), message="the server speaks before it is asked"
        )

    async def _connected(self, request: aiohttp.ClientRequest) -> Connection:
        try:
            return await self._connector.connect(request, traces=[], timeout=self._timeout)
        except TimeoutError as error:
            raise aiohttp.ConnectionTimeoutError(f"no connection to {request.url.host}") from error


class _Exchange:
    """A request that goes out when this is entered, and its reply; whoever leaves lets go of it.

    The connection serves the next request if the reply was read to its end.
    """

    __slots__ = ("_client", "_connection", "_request", "_wire", "content", "headers", "status")

    status: int
    headers: CIMultiDictProxy[str]
    content: aiohttp.StreamReader
    _connection: Connection

    def __init__(self, client: Client, request: aiohttp.ClientRequest, wire: bytes) -> None:
        self._client = client
        self._request = request
        self._wire = wire

    async def __aenter__(self) -> Self:
        connection = self._connection = await self._client.sent(self._request, self._wire)
        try:
            message, self.content = await _reply(connection)
        except HttpProcessingError as error:
            connection.close()
            raise aiohttp.ClientResponseError(
                self._request.request_info, (), status=error.code, message=error.message
            ) from error
        except BaseException:
            connection.close()
            raise
        self.status, self.headers = message.code, message.headers
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self.content.is_eof():
            self._connection.release()
        else:
            self._connection.close()


async def _reply(connection: Connection) -> tuple[RawResponseMessage, aiohttp.StreamReader]:
    """A reply's head and its body; what goes before it, such as 103, is passed over."""
    protocol = connection.protocol
    if protocol is None:
        raise aiohttp.ServerDisconnectedError
    while True:
        message, content = await protocol.read()
        if message.code // 100 != 1 or message.code == HTTPStatus.SWITCHING_PROTOCOLS:
            return message, content


def _has_user(url: yarl.URL) -> bool:
    return url.raw_user is not None or url.raw_password is not None


def _wire(line: str, head: bytes, headers: Mapping[str, str], body: bytes | None) -> bytes:
    if body is None:
        return b"".join((line.encode(), head, _lines(headers), b"\r\n"))
    length = b"Content-Length: %d\r\n\r\n" % len(body)
    return b"".join((line.encode(), head, _lines(headers), length, body))


def _lines(headers: Mapping[str, str]) -> bytes:
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
    if lines.count("\n") != len(headers) or lines.count("\r") != len(headers):
        raise ValueError("a header would break out of its line")
    return lines.encode()
