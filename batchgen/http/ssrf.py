"""Decides which URLs of a provider's reply may be fetched, and keeps them as they were signed.

A reply is not trusted: it must not make this machine ask hosts that only it can reach. Names are
judged where they are resolved, at connect time; aiohttp resolves no literal addresses, so
`Guard.check_url` judges those, for the first URL and for every redirect's target.
"""

import errno
import re
import socket
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import TypeAlias
from urllib.parse import quote, unquote, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from yarl import URL

_Address: TypeAlias = IPv4Address | IPv6Address

_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
# What `ipaddress` takes for public, some only in older Pythons: the registries of special-purpose
# addresses (RFC 6890), site-local ones, and the host that tells an Azure machine about itself:
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in ("192.0.0.0/24", "168.63.129.16", "fec0::/10", "3fff::/20", "5f00::/16")
)
_MOST_HOSTS = 256  # that are remembered: downloads come from a few
_OFF_WIRE = re.compile(r"[^\x21-\x7e]+")


class GuardError(OSError):
    """A name that leads to an address which a reply may not name.

    aiohttp raises it wrapped in its `ClientConnectorDNSError`, as `os_error`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class Guard:
    """Knows the provider's own host, and so where its replies may lead.

    Public addresses always; others only when the provider's base URL is at such an address
    itself: seen in the URL, or learned when its name is resolved.
    """

    def __init__(self, base_url: str) -> None:
        url = exact_url(base_url)
        host = _host(url)
        address = _literal(host)
        self._home = (host, url.port)
        self._allows_private = (
            host == "localhost"
            or host.endswith(".localhost")
            or (address is not None and not is_public(address))
        )

    def check_url(self, url: str) -> str | None:
        """Why a URL is not to be fetched, for a person; None: fetch it, through the resolver."""
        try:
            parsed = exact_url(url)
            host = _host(parsed)
        except ValueError as error:
            return f"it is not a URL ({error})"
        if parsed.scheme not in {"http", "https"}:
            return f"its scheme is {parsed.scheme or 'missing'!r}; http and https are fetched"
        if not host:
            return "it names no host"
        if parsed.raw_user is not None or parsed.raw_password is not None:
            return "it has a user name or password in it"
        return self._check_host(host, parsed.port)

    def admission(self, host: str, port: int, address: str) -> bool:
        """Whether a connection to this host may be made at the address that it resolved to."""
        is_safe = is_public(ip_address(address))
        if (host.lower().rstrip("."), port) == self._home:
            self._allows_private = self._allows_private or not is_safe
            return True
        return is_safe or self._allows_private

    def _check_host(self, host: str, port: int | None) -> str | None:
        address = _literal(host)
        if address is None:
            if _is_number(host):
                return f"its host {host} is an address in disguise; 192.0.2.1 is the usual form"
            return None
        if is_public(address) or self._allows_private or (host, port) == self._home:
            return None
        return _not_public(host)


class GuardedResolver(AbstractResolver):
    """Resolves names for aiohttp's connector, without the addresses that the guard forbids.

    inner: what resolves them; aiohttp's own resolver, which needs a running loop, by default.
    """

    def __init__(self, guard: Guard, inner: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._inner = DefaultResolver() if inner is None else inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The permitted addresses of a host. Raises GuardError when all are forbidden."""
        found = await self._inner.resolve(host, port, family)
        permitted = [one for one in found if self._guard.admission(host, port, one["host"])]
        if found and not permitted:
            raise GuardError(_not_public(f"{host} ({found[0]['host']})"))
        return permitted

    async def close(self) -> None:
        await self._inner.close()


@lru_cache(_MOST_HOSTS)
def is_public(address: _Address) -> bool:
    """Whether everybody on the internet reaches the same host at this address.

    An IPv6 address that carries an IPv4 address (mapped, NAT64, 6to4) is judged by that one.
    """
    carried = _carried(address) if isinstance(address, IPv6Address) else None
    if carried is not None:
        return is_public(carried)
    is_special = address.is_multicast or address.is_reserved
    is_listed = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not is_special and not is_listed


def exact_url(url: str) -> URL:
    """A URL for aiohttp whose path and query go out as they came, or else signatures break.

    Only what cannot be sent at all is quoted: blanks, control and non-ASCII characters; a
    non-ASCII host is sent in its IDNA form. Raises ValueError for what is no URL.
    """
    url = url.strip()
    host_and_port = urlsplit(url).netloc
    if not host_and_port.isascii():
        url = url.replace(host_and_port, URL(url).raw_authority, 1)
    return URL(_OFF_WIRE.sub(lambda found: quote(found[0]), url), encoded=True)


def _host(url: URL) -> str:
    return (url.raw_host or "").lower().rstrip(".")


@lru_cache(_MOST_HOSTS)
def _literal(host: str) -> _Address | None:
    try:
        return ip_address(unquote(host))  # a zone is written as %25eth0
    except ValueError:
        return None


@lru_cache(_MOST_HOSTS)
def _is_number(host: str) -> bool:
    """Whether the system takes this host for an IPv4 address: 127.1, 0x7f000001, 017700000001."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _carried(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _not_public(host: str) -> str:
    return (
        f"{host} is not a public address; replies may lead there only when the provider's own"
        " base URL is at such an address"
    )
