"""aiohttp sessions for requests that may cost money."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import aiohttp
import yarl
from aiohttp.connector import Connection
from aiohttp.tracing import Trace
from multidict import CIMultiDict

from batchgen._version import __version__
from batchgen.errors import UsageError
from batchgen.http.deadlines import DEADLINE

READ_BYTES = 256 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_MAX_UNSOLICITED = 8  # connections in a row on which the server sends something first


class UnsolicitedDataError(aiohttp.ClientConnectionError):
    """A server sends data on each new connection before a request; nothing was sent to it."""


class UnsendableError(aiohttp.ClientError):
    """A header or a URL has characters that cannot be sent."""


class Client:
    """A session with a limited number of requests in flight.

    headers: of every request, besides the User-Agent unless they have one.
    slots: one for each request; the caller acquires one before `open`.
    """

    def __init__(
        self,
        limit: int,
        headers: Mapping[str, str],
        *,
        tls: ssl.SSLContext | bool,
        resolver: aiohttp.abc.AbstractResolver | None = None,
    ) -> None:
        all_headers = CIMultiDict({"User-Agent": f"batchgen/{__version__}"})
        all_headers.update(headers)
        # aiohttp's own limit would count the wait for a slot as time to connect.
        self.slots = asyncio.Semaphore(limit)
        self._session = aiohttp.ClientSession(
            connector=_Connector(limit=0, resolver=resolver, ssl=tls),
            timeout=aiohttp.ClientTimeout(total=None),  # see `Deadlines`
            cookie_jar=aiohttp.DummyCookieJar(),
            headers=all_headers,
            read_bufsize=READ_BYTES,
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
                return connection
            connection.close()
        raise UnsolicitedDataError("the server sends data before it receives a request")


def tls_settings(ca_file: Path | None) -> ssl.SSLContext | bool:
    """Return aiohttp's `ssl` argument; the certificates of `ca_file` are trusted additionally.

    Raises UsageError if the file has no certificates.
    """
    if ca_file is None:
        return True
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(ca_file)
    except OSError as error:  # an ssl.SSLError is one
        missing = isinstance(error, FileNotFoundError)
        reason = "the file does not exist" if missing else "the file has no PEM certificates"
        raise UsageError(f"`ca_file` {ca_file}: {reason}") from error
    return context
