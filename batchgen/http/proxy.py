"""Choose the proxy of a URL by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeAlias

from yarl import URL

_Address: TypeAlias = IPv4Address | IPv6Address

_MAX_HOSTS = 256  # in the cache: downloads come from a few
_SEPARATORS = re.compile(r"[\s,]+")
_PORT = re.compile(r"(.+):([0-9]{1,5})")


def proxy_for(url: URL, proxies: Mapping[str, str]) -> str | None:
    """Return the proxy's URL; None if the connection is direct, as it always is to loopback.

    proxies: proxy URLs by scheme, `all` for the others; `no` lists what has no proxy, as in
    `is_exempt`.
    """
    host = (url.raw_host or "").lower().rstrip(".")
    if _is_loopback(host) or is_exempt(host, url.port, proxies.get("no", "")):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


def is_exempt(host: str, port: int | None, exempt: str) -> bool:
    """Return whether a NO_PROXY list has the host.

    exempt: entries with commas or blanks between them. An entry is a host, a domain (with all hosts
    below it, with or without a dot in front), an address, a network (`10.0.0.0/8`), a pattern
    (`192.168.*`), or `*`; a port may follow, and an IPv6 address may be in brackets.

    curl and Python's libraries agree on most of it: https://curl.se/docs/manpage.html#--noproxy.
    """
    host = host.lower().rstrip(".")
    entries = (entry for entry in _SEPARATORS.split(exempt.lower()) if entry)
    return any(_has(entry, host, port) for entry in entries)


def _has(entry: str, host: str, port: int | None) -> bool:
    if _address(entry) is None and (match := _PORT.fullmatch(entry)):
        if int(match[2]) != port:
            return False
        entry = match[1]
    address = _address(host)
    name = entry.removeprefix("*.").strip(".")
    is_domain = address is None and bool(name) and f".{host}".endswith(f".{name}")
    is_like = "*" in name and fnmatchcase(host, name.replace("[", "[[]"))
    return is_domain or is_like or (address is not None and _is_in_network(address, entry))


def _is_in_network(address: _Address, entry: str) -> bool:
    """Return whether the entry is the address, or a network that it belongs to."""
    text = entry.replace("[", "").replace("]", "")
    if (single := _address(text)) is not None:
        return single == address
    try:
        network = ip_network(text.partition("%")[0], strict=False)
    except ValueError:
        return False
    return address in network


@lru_cache(_MAX_HOSTS)
def _address(host: str) -> _Address | None:
    """Return the address that a host is; an IPv4 address that is mapped to IPv6 as IPv4."""
    try:
        address = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _is_loopback(host: str) -> bool:
    address = _address(host)
    if address is not None:
        return address.is_loopback
    return host == "localhost" or host.endswith(".localhost")
