"""Fetch the files that a reply names by URL, without the key, and only from permitted hosts."""

import re
import ssl
from http import HTTPStatus
from urllib.parse import urljoin

import aiohttp
import yarl

from batchgen.http.chunks import ReplyBody
from batchgen.http.client import Client
from batchgen.http.deadlines import Deadline, Deadlines
from batchgen.http.faults import download_fault, http_proxy_fault
from batchgen.http.proxy import proxy_for
from batchgen.http.replies import (
    ReplyReader,
    content_encoding,
    is_success,
    is_whole_file,
)
from batchgen.http.service import Service
from batchgen.http.ssrf import ForbiddenAddressError, GuardedResolver, UrlGuard, exact_url
from batchgen.types import FaultKind, HttpResponse, NetworkFault, Reply

_MAX_REDIRECTS = 5
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]*:|\s*$")
_HEADERS = {"Accept-Encoding": "identity"}


class Downloads:
    """Fetches files; made inside a running event loop.

    connections: the most requests in flight, for direct and proxied ones separately.
    guard: learns the addresses of the API's connections.
    """

    def __init__(
        self,
        service: Service,
        *,
        connections: int,
        tls: ssl.SSLContext | bool,
        deadlines: Deadlines,
        reader: ReplyReader,
    ) -> None:
        self._base_url = service.base_url.partition("?")[0].rstrip("/") + "/"
        self._proxies = service.proxies
        self._deadlines = deadlines
        self._reader = reader
        self.guard = UrlGuard(service.base_url)
        self._resolver = GuardedResolver(self.guard)
        self._direct = Client(connections, _HEADERS, tls=tls, resolver=self._resolver)
        # It resolves only the proxy's name, which the guard must not check.
        self._proxied = Client(connections, _HEADERS, tls=tls)

    async def close(self) -> None:
        """Close the connections."""
        await self._direct.close()
        await self._proxied.close()
        await self._resolver.close()

    async def decide(self) -> None:
        """Decide where the provider is, before a reply of it arrives; see `GuardedResolver`."""
        await self._resolver.decide()

    async def fetch(self, url: str) -> Reply:
        """Get a payload by its URL; the reply has it as its only payload.

        url: without a scheme, it is relative to the base URL of the provider.
        The query string is sent as given. The guard checks the target of each redirect.
        Raises StorageError if the file cannot be written.
        """
        await self.decide()
        if not _SCHEME.match(url):
            url = urljoin(self._base_url, url)
        for _ in range(_MAX_REDIRECTS + 1):
            refusal = self.guard.refusal(url)
            if refusal is not None:
                return NetworkFault(FaultKind.UNSAFE_URL, refusal, sent=False)
            deadline = Deadline(self._deadlines)
            proxy = None
            try:
                proxy = proxy_for(exact_url(url), self._proxies)
                reply, target = await self._get(url, deadline, proxy)
                if target is None:
                    return reply
                url = urljoin(url, target)
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                return download_fault(error, deadline, proxy=proxy)
            except ValueError as error:  # a host or redirect that no URL can have
                reason = f"not a URL that can be fetched ({error})"
                return NetworkFault(FaultKind.UNSAFE_URL, reason, sent=False)
        message = f"more than {_MAX_REDIRECTS} redirects"
        return NetworkFault(FaultKind.UNSAFE_URL, message, sent=False)

    async def _get(
        self, url: str, deadline: Deadline, proxy: str | None
    ) -> tuple[Reply, str | None]:
        """Return the reply to one GET, and the target if it is a redirect."""
        target = exact_url(url)
        if proxy is not None:
            await self._refuse_private(target)
        client = self._direct if proxy is None else self._proxied
        async with (
            deadline,
            client.slots,
            await client.open("GET", target, headers={}, data=None, proxy=proxy) as response,
        ):
            body = ReplyBody(response.content, deadline, content_encoding(response))
            headers = self._reader.headers_of(response)
            if refusal := http_proxy_fault(response.status, target, proxy):
                return refusal, None
            if response.status in _REDIRECTS and "location" in headers:
                location = response.headers["location"]
                return HttpResponse(response.status, headers, b""), location
            if response.status == HTTPStatus.PARTIAL_CONTENT and not is_whole_file(headers):
                message = "the server sent only a part of the file (HTTP 206)"
                return NetworkFault(FaultKind.BAD_RESPONSE, message, sent=True), None
            if not is_success(response):
                return await self._reader.read_error(response, body), None
            return await self._reader.read_file(response.status, headers, body), None

    async def _refuse_private(self, url: yarl.URL) -> None:
        """Raise ForbiddenAddressError if the host resolves to a forbidden address.

        The proxy resolves the name again. A name that only the proxy can resolve is permitted.
        """
        try:
            await self._resolver.resolve(url.raw_host or "", url.port or 0)
        except ForbiddenAddressError:
            raise
        except OSError:
            return
