"""Choose the proxy of a URL by HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address

from yarl import URL

_MAX_HOSTS = 256  # in the cache: downloads come from a few


def proxy_for(url: URL, proxies: Mapping[str, str]) -> str | None:
    """Return the proxy's URL; None if the connection is direct, as it always is to loopback.

    proxies: proxy URLs by scheme, `all` for the others; `no` lists hosts and domains without a
    proxy, `*` for all.
    """
    host = (url.raw_host or "").lower().rstrip(".")
    if _is_loopback(host) or _is_exempt(host, url.port, proxies.get("no", "")):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


def _is_exempt(host: str, port: int | None, exempt: str) -> bool:
    """Return whether a NO_PROXY list such as `example.com,.example.com,h:8000` has the host."""
    names = (name.strip().lower().removeprefix("*.").lstrip(".") for name in exempt.split(","))
    return any(
        name in ("*", whole) or whole.endswith(f".{name}")
        for name in names
        if name
        for whole in (host, f"{host}:{port}")
    )


@lru_cache(_MAX_HOSTS)
def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
