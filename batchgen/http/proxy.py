"""Which proxy a URL goes through, as HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY say."""

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address

from yarl import URL

_MOST_HOSTS = 256  # that are remembered: downloads come from a few


def proxy_for(url: URL, proxies: Mapping[str, str]) -> str | None:
    """The proxy's URL; None where the connection is direct, as it always is to loopback.

    proxies: by scheme, `all` for the rest; `no` lists hosts and domains, `*` for every one.
    """
    host = (url.raw_host or "").lower().rstrip(".")
    if _is_loopback(host) or _is_exempt(host, url.port, proxies.get("no", "")):
        return None
    return proxies.get(url.scheme) or proxies.get("all")


def _is_exempt(host: str, port: int | None, exempt: str) -> bool:
    """Whether a list of hosts and domains (`example.com`, `.example.com`, `h:8000`) has it."""
    names = (name.strip().lower().removeprefix("*.").lstrip(".") for name in exempt.split(","))
    return any(
        name in ("*", whole) or whole.endswith(f".{name}")
        for name in names
        if name
        for whole in (host, f"{host}:{port}")
    )


@lru_cache(_MOST_HOSTS)
def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
