"""Decide which URLs of a provider's reply may be fetched (protection against SSRF).

A reply is not trusted: it must not make this machine send requests to hosts that only it can reach.
Host names are checked when they are resolved, at connect time. aiohttp does not resolve literal
addresses, so `UrlGuard.refusal` checks those, in the first URL and in the target of each redirect.
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
# Not public, although `ipaddress` (some of it only in older Pythons) says so: special-purpose
# addresses (RFC 6890), site-local ones, and the metadata host of Azure machines:
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in ("192.0.0.0/24", "168.63.129.16", "fec0::/10", "3fff::/20", "5f00::/16")
)
_MAX_HOSTS = 256  # in the cache: downloads come from a few
_UNSENDABLE = re.compile(r"[^\x21-\x7e]+")


class ForbiddenAddressError(OSError):
    """A host name that resolves to a forbidden address.

    aiohttp raises it wrapped in its `ClientConnectorDNSError`, as `os_error`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EACCES, reason)

    def __str__(self) -> str:
        return str(self.strerror)


class UrlGuard:
    """Decides by the provider's base URL which hosts its replies may name.

    Public addresses are always permitted. Others are permitted only if the provider itself is at
    such an address, by its base URL or when its host name is resolved.
    """

    def __init__(self, base_url: str) -> None:
        url = exact_url(base_url)
        host = _host(url)
        address = _literal(host)
        self._provider_host = (host, url.port)
        self._allows_private = (
            host == "localhost"
            or host.endswith(".localhost")
            or (address is not None and not is_public(address))
        )

    def refusal(self, url: str) -> str | None:
        """Return why a URL must not be fetched; None if it may be, with the guarded resolver."""
        try:
            parsed = exact_url(url)
            host = _host(parsed)
        except ValueError as error:
            return f"it is not a URL ({error})"
        if parsed.scheme not in {"http", "https"}:
            return f"its scheme is {parsed.scheme or 'missing'!r}, not http or https"
        if not host:
            return "it has no host"
        if parsed.raw_user is not None or parsed.raw_password is not None:
            return "it contains a user name or password"
        return self._check_host(host, parsed.port)

    def allows_address(self, host: str, port: int, address: str) -> bool:
        """Return whether to connect to this host at the address that its name resolved to."""
        is_safe = is_public(ip_address(address))
        if (host.lower().rstrip("."), port) == self._provider_host:
            self._allows_private = self._allows_private or not is_safe
            return True
        return is_safe or self._allows_private

    def _check_host(self, host: str, port: int | None) -> str | None:
        address = _literal(host)
        if address is None:
            if _is_number(host):
                return f"its host {host} is an IP address that is not written in the form 192.0.2.1"
            return None
        if is_public(address) or self._allows_private or (host, port) == self._provider_host:
            return None
        return _not_public(host)


class GuardedResolver(AbstractResolver):
    """Resolves names for aiohttp's connector, without the addresses that the guard forbids.

    inner: the resolver; by default aiohttp's own, which needs a running event loop.
    """

    def __init__(self, guard: UrlGuard, inner: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._inner = DefaultResolver() if inner is None else inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return a host's permitted addresses; raise ForbiddenAddressError if there are none."""
        resolved = await self._inner.resolve(host, port, family)
        permitted = [
            result for result in resolved if self._guard.allows_address(host, port, result["host"])
        ]
        if resolved and not permitted:
            raise ForbiddenAddressError(_not_public(f"{host} ({resolved[0]['host']})"))
        return permitted

    async def close(self) -> None:
        await self._inner.close()


@lru_cache(_MAX_HOSTS)
def is_public(address: _Address) -> bool:
    """Return whether an address is public: the same host for everyone on the internet.

    If an IPv6 address embeds an IPv4 address (mapped, NAT64, 6to4), the IPv4 address decides.
    """
    embedded = _embedded_ipv4(address) if isinstance(address, IPv6Address) else None
    if embedded is not None:
        return is_public(embedded)
    is_special = address.is_multicast or address.is_reserved
    is_listed = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not is_special and not is_listed


def exact_url(url: str) -> URL:
    """Return a URL for aiohttp whose path and query are sent unchanged, so that signatures hold.

    Only characters that cannot be sent are quoted: blanks, control and non-ASCII characters. A
    non-ASCII host is sent in its IDNA form. Raises ValueError if it is not a URL.
    """
    url = url.strip()
    host_and_port = urlsplit(url).netloc
    if not host_and_port.isascii():
        url = url.replace(host_and_port, URL(url).raw_authority, 1)
    return URL(_UNSENDABLE.sub(lambda match: quote(match[0]), url), encoded=True)


def _host(url: URL) -> str:
    return (url.raw_host or "").lower().rstrip(".")


@lru_cache(_MAX_HOSTS)
def _literal(host: str) -> _Address | None:
    try:
        return ip_address(unquote(host))  # a zone is written as %25eth0
    except ValueError:
        return None


@lru_cache(_MAX_HOSTS)
def _is_number(host: str) -> bool:
    """Return whether the system reads it as an IPv4 address: 127.1, 0x7f000001, 017700000001."""
    try:
        socket.inet_aton(host)
    except OSError:
        return False
    return True


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _not_public(host: str) -> str:
    return (
        f"{host} is not a public address; replies may name it only if the provider's own base URL"
        " is at such an address"
    )
