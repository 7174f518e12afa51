"""Decide which URLs of a provider's reply may be fetched (protection against SSRF).

A reply is not trusted: it must not make this machine send requests to hosts that only it can reach.
Host names are checked when they are resolved, at connect time. aiohttp does not resolve literal
addresses, so `UrlGuard.refusal` checks those, in the first URL and in the target of each redirect.
"""

import errno
import re
import socket
from contextlib import suppress
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
# addresses (RFC 6890), site-local ones, and the host of Azure's agents:
# https://learn.microsoft.com/azure/virtual-network/what-is-ip-address-168-63-129-16
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in ("192.0.0.0/24", "168.63.129.16", "fec0::/10", "3fff::/20", "5f00::/16")
)
_COMPATIBLE = IPv6Network("::/96")  # RFC 4291: as above
_LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")  # RFC 8215: as above, if its prefix has 96 bits
# Metadata services: of most clouds, of ECS tasks, EKS pods, EC2 over IPv6, Alibaba, Oracle, Azure.
_METADATA = frozenset(
    ip_address(address)
    for address in (
        *("169.254.169.254", "169.254.170.2", "169.254.170.23", "fd00:ec2::254", "fd00:ec2::23"),
        *("100.100.100.200", "192.0.0.192", "168.63.129.16"),
    )
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
    """Decides which hosts the provider's replies may name.

    Public addresses are always permitted. Private ones are permitted only if the provider itself
    is at such an address: by its base URL, or because all connections to its API went to such
    addresses. Link-local addresses, which the metadata services of clouds have, are permitted only
    if the base URL has such an address or the API's connection went to the same one. No reply
    changes what is permitted: the provider's host name may lead elsewhere when a reply names it.
    """

    def __init__(self, base_url: str) -> None:
        url = exact_url(base_url)
        self.host, self.port = _host(url), url.port or 0
        self._address = _literal(self.host)
        is_local_name = self.host == "localhost" or self.host.endswith(".localhost")
        self._is_fixed = is_local_name or self._address is not None
        self._allows_private = self._is_fixed and (
            self._address is None or not is_public(self._address)
        )
        self._connected_to: set[_Address] = set()

    @property
    def is_undecided(self) -> bool:
        """Return whether neither the base URL nor a connection shows where the provider is."""
        return not self._is_fixed and not self._connected_to

    def learn(self, address: str) -> None:
        """Note the address of a connection to the API, made for its base URL."""
        parsed = ip_address(address)
        if not self._is_fixed:
            self._connected_to.add(parsed)
            self._is_fixed = is_public(parsed)
            self._allows_private = not self._is_fixed

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
        return self._check_host(host)

    def allows_address(self, address: str) -> bool:
        """Return whether to connect to a host at the address that its name resolved to."""
        return self._allows(ip_address(address))

    def _allows(self, address: _Address) -> bool:
        if is_public(address):
            return True
        if not self._allows_private or not is_link_local(address):
            return self._allows_private
        if self._address is not None:
            return address == self._address or (
                is_link_local(self._address) and not _is_metadata(address)
            )
        return address in self._connected_to and not _is_metadata(address)

    def _check_host(self, host: str) -> str | None:
        address = _literal(host)
        if address is None:
            if _is_number(host):
                return f"its host {host} is an IP address that is not written in the form 192.0.2.1"
            return None
        return None if self._allows(address) else _refused(host, address)


class GuardedResolver(AbstractResolver):
    """Resolves names for aiohttp's connector, without the addresses that the guard forbids.

    inner: the resolver; by default aiohttp's own, which needs a running event loop.
    """

    def __init__(self, guard: UrlGuard, inner: AbstractResolver | None = None) -> None:
        self._guard = guard
        self._inner = DefaultResolver() if inner is None else inner
        self._has_resolved = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return a host's permitted addresses; raise ForbiddenAddressError if there are none."""
        resolved = await self._inner.resolve(host, port, family)
        permitted = [result for result in resolved if self._guard.allows_address(result["host"])]
        if resolved and not permitted:
            address = resolved[0]["host"]
            raise ForbiddenAddressError(_refused(f"{host} ({address})", ip_address(address)))
        return permitted

    async def decide(self) -> None:
        """Resolve the provider's host name if no connection to the API has shown its address.

        Call it before the first reply is trusted with a URL: the first call decides.
        """
        if self._has_resolved or not self._guard.is_undecided:
            return
        self._has_resolved = True
        with suppress(OSError):
            for result in await self._inner.resolve(self._guard.host, self._guard.port):
                self._guard.learn(result["host"])

    async def close(self) -> None:
        await self._inner.close()


@lru_cache(_MAX_HOSTS)
def is_public(address: _Address) -> bool:
    """Return whether an address is public: the same host for everyone on the internet.

    If an IPv6 address embeds an IPv4 address (mapped, NAT64, 6to4), the IPv4 address decides.
    """
    embedded = _embedded_ipv4(address)
    if embedded is not None:
        return is_public(embedded)
    is_special = address.is_multicast or address.is_reserved
    is_listed = any(address in network for network in _NOT_PUBLIC)
    return address.is_global and not is_special and not is_listed


def is_link_local(address: _Address) -> bool:
    """Return whether an address is link-local, or one at which a cloud has its metadata service.

    If an IPv6 address may lead to an IPv4 address, the IPv4 address counts too.
    """
    if isinstance(address, IPv6Address):
        inner = [_embedded_ipv4(address), *(address.teredo or ())]
        if address in _COMPATIBLE or address in _LOCAL_NAT64:
            inner.append(_last_ipv4(address))
        if any(is_link_local(embedded) for embedded in inner if embedded is not None):
            return True
    return address.is_link_local or _is_metadata(address)


def _is_metadata(address: _Address) -> bool:
    return (_embedded_ipv4(address) or address) in _METADATA


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


def _embedded_ipv4(address: _Address) -> IPv4Address | None:
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return _last_ipv4(address)
    return address.ipv4_mapped or address.sixtofour


def _last_ipv4(address: IPv6Address) -> IPv4Address:
    """Return the IPv4 address in the last 32 bits."""
    return IPv4Address(int(address) & 0xFFFF_FFFF)


def _refused(host: str, address: _Address) -> str:
    if is_link_local(address):
        return (
            f"{host} is not a public address but a link-local one, as cloud metadata services have"
        )
    return (
        f"{host} is not a public address; replies may name it only if the provider's own base URL"
        " is at such an address"
    )
