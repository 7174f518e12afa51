"""Sessions of aiohttp for requests that may cost money."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping

import aiohttp
import yarl
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from batchgen.http.deadlines import DEADLINE

PIECE_BYTES = 256 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_MAX_UNASKED = 8  # connections in a row on which a server sends something first


class UnaskedError(aiohttp.ClientConnectionError):
    """A server sends something on every new connection before a request; nothing was sent to it."""


class UnsendableError(aiohttp.ClientError):
    """A header or a URL has characters that cannot be sent."""


class Client:
    """A session with a limited number of requests at a time.

    places: one for each request; a request enters it before `open`.
    """

    def __init__(
        self,
        limit: int,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | bool,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        # aiohttp's own limit would count the wait for a place as time to connect.
        self.places = asyncio.Semaphore(limit)
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, resolver=resolver, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=None),  # `Deadlines` does it
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=headers,
            read_bufsize=PIECE_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

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

        No redirect is followed. A GET is sent once more if its connection was already closed.
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
    """Return no connection on which the server has sent something since its last reply.

    aiohttp would take those bytes for the reply to the next request. The deadline of each request
    is updated when connecting begins and ends: after that the request may have been sent.
    """

    async def connect(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Trace],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  # aiohttp's parameter, without a limit
    ) -> Connection:
        deadline = DEADLINE.get()
        deadline.begin_connecting()
        for _ in range(_MAX_UNASKED):
            connection = await super().connect(req, traces, timeout)
            if connection.protocol is not None and not connection.protocol.should_close:
                deadline.begin_sending()
                return connection
            connection.close()
        raise UnaskedError("the server sends something before it is asked")
