"""Where a provider may be: base URLs that leak no key, and hosts that plain http may reach."""

import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from batchgen.text import one_line

_PRIVATE_ENDINGS = (".localhost", ".local", ".internal")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # some resolvers take these for addresses


def bad_base_url(url: str, *, insecure: bool = False) -> str | None:
    """What is wrong with a base URL; one that may hold a secret is not shown.

    insecure: plain http is allowed to any host.
    """
    if "@" in url or "?" in url or "#" in url:
        return "a URL must hold no key, password or query: name the key's variable in `api_key_env`"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets and ports that are none
        sound = False
    if not sound or any(character.isspace() for character in url):
        return f"`{one_line(url, 80)}` is not an http(s) URL such as https://host/v1"
    if parts.scheme == "http" and not insecure and not is_private_host(parts.hostname or ""):
        return (
            f"`{one_line(url, 80)}` would send the key unprotected; https:// is right, or"
            " `insecure: true` for a provider of the job's own"
        )
    return None


def is_private_host(host: str) -> bool:
    """Whether a host is loopback or private as its name says; nothing is resolved.

    A name is private as localhost, under .local or .internal, or when it is a single label.
    """
    host = host.lower().rstrip(".")
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        single = "." not in host and ":" not in host and not _NUMBER.fullmatch(host)
        return single or host.endswith(_PRIVATE_ENDINGS)
