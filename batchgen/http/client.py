"""aiohttp sessions for requests that may cost money."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import yarl
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from batchgen._version import __version__
from batchgen.http.deadlines import DEADLINE, Deadline
from batchgen.http.head_first import divide_heads

READ_BYTES = 256 * 1024
_MAX_HEADER_BYTES = 65 * 1024  # 64 KB and the name
_MAX_HEADERS = 1024
_MAX_UNSOLICITED = 8  # connections in a row on which the server sends something first


class UnsolicitedDataError(aiohttp.ClientConnectionError):
    """A server sends data on each new connection before a request; nothing was sent to it."""


class UnsendableError(aiohttp.ClientError):
    """A header or a URL has characters that cannot be sent."""


class Client:
    """A session with a limited number of requests in flight.

    headers: of every request, besides the User-Agent unless they have one.
    slots: one for each request; the caller acquires one before `open`.
    on_connect: called with the address of each new connection that is not through a proxy.
    """

    def __init__(
        self,
        limit: int,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | bool,
        resolver: aiohttp.abc.AbstractResolver | None = None,
        on_connect: Callable[[str], None] = lambda _: None,
    ) -> None:
        all_headers = CIMultiDict({"User-Agent": f"batchgen/{__version__}"})
        all_headers.update(headers)
        # aiohttp's own limit would count the wait for a slot as time to connect.
        self.slots = asyncio.Semaphore(limit)
        self._connector = _Connector(limit=0, resolver=resolver, ssl=tls)
        self._connector.on_connect = on_connect
        self._session = aiohttp.ClientSession(
            connector=self._connector,
            timeout=aiohttp.ClientTimeout(total=None),  # see `Deadlines`
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=all_headers,
            read_bufsize=READ_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            max_headers=_MAX_HEADERS,
            auto_decompress=False,  # see `ReplyBody`
        )

    @property
    def has_connected(self) -> bool:
        """Return whether a connection was ready for a request at least once."""
        return self._connector.has_connected

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()

    async def open(
        self,
        method: str,
        url: yarl.URL,
        *,
        headers: Mapping[str, str],
        data: bytes | AsyncIterator[bytes] | None,
        proxy: str | None,
    ) -> aiohttp.ClientResponse:
        """Send a request within a deadline; return the reply when its headers have arrived.

        Redirects are not followed. A GET is sent again if its connection was already closed.
        Raises UnsendableError and aiohttp's ClientError.
        """
        try:
            return await self._session.request(
                method, url, headers=headers, data=data, proxy=proxy, allow_redirects=False
            )
        except aiohttp.ClientError:
            raise
        except ValueError as error:
            raise UnsendableError(f"the request cannot be sent: {error}") from error


class _Connector(aiohttp.TCPConnector):
    """A connector that never hands out a connection with unread bytes on it.

    A server may send something on an idle connection, such as a late reply to a request that was
    cancelled. aiohttp would read those bytes as the reply to the next request: a paid result would
    go to the wrong task. `connect` closes such a connection and takes another one.

    It also updates the request's deadline when connecting begins and when it ends, because the
    request may have been sent from then on, and a lost reply may have been paid for.
    """

    on_connect: Callable[[str], None]
    has_connected = False

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's parameter, without a limit
    ) -> Connection:
        deadline = DEADLINE.get()
        deadline.begin_connecting()
        for _ in range(_MAX_UNSOLICITED):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is not None and not connection.protocol.should_close:
                deadline.begin_sending()
                self._prepare(connection, deadline, is_direct=req.proxy is None)
                return connection
            connection.close()
        raise UnsolicitedDataError("the server sends data before it receives a request")

    def _prepare(self, connection: Connection, deadline: Deadline, *, is_direct: bool) -> None:
        self.has_connected = True
        transport, protocol = connection.transport, connection.protocol
        if transport is None or protocol is None:
            return
        is_new = divide_heads(transport, protocol, deadline.break_off)
        address = transport.get_extra_info("peername")
        if is_new and is_direct and address:
            self.on_connect(address[0])
