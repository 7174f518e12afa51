"""Connection settings of a provider, and the interface of its transport."""

import re
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from batchgen.types import HttpRequest, Reply, Timeouts

_WHOLE = re.compile(r"/v[0-9]+[a-z0-9.]*(?:/|$)|/deployments/[^/]+$")
_VERSION = re.compile(r"^/v[12](?=/)")


@dataclass(frozen=True, slots=True)
class Service:
    """The address, headers and timeouts of a provider's API.

    api_key: sent as a bearer token to this host only; never printed.
    key_headers: names of the headers that carry the idempotency key.
    timeout_s: seconds for a whole request; timeouts: for its parts.
    headers: of every request to this host; never printed.
    secrets: texts that are removed from this host's replies.
    proxies: the argument of `proxy_for`, for this host and for downloads.
    ca_bundles: files and folders of certificates (PEM) that are trusted besides the system's, each
        with the name of its setting.
    """

    base_url: str
    api_key: str | None = field(repr=False)
    key_headers: tuple[str, ...] = ()
    timeout_s: float = 600.0
    timeouts: Timeouts = field(default_factory=Timeouts)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_bundles: tuple[tuple[str, Path], ...] = ()

    def url(self, path: str) -> str:
        """Return the URL of a path such as /v1/images/generations; see `address`.

        A URL at the provider's own host stays as it is.
        """
        if path.startswith(("http://", "https://")):
            return path
        return address(self.base_url, path)


def address(base_url: str, path: str) -> str:
    """Return the URL of a path below a base URL, with the parameters of both.

    The version of the API (/v1) is in the path. It is left out if the base URL ends in one, or has
    another version, a deployment of Azure or parameters, because it then is the whole address.
    """
    base, _, base_query = base_url.partition("?")
    path, _, query = path.partition("?")
    base = base.rstrip("/")
    own = base.removesuffix("/v1").removesuffix("/v2")
    if own == base and (base_query or _WHOLE.search(urlsplit(base).path)):
        path = _VERSION.sub("", path)
    parameters = query.replace("?", "&").split("&") if query else []
    names = {parameter.partition("=")[0] for parameter in parameters}
    inherited = base_query.split("&") if base_query else []
    parameters += [pair for pair in inherited if pair.partition("=")[0] not in names]
    return own + path + ("?" + "&".join(parameters) if parameters else "")


class Transport(Protocol):
    """Sends requests to the provider and fetches the files that its replies name."""

    def send(self, request: HttpRequest, idempotency_key: str) -> Coroutine[None, None, Reply]: ...

    def fetch(self, url: str) -> Coroutine[None, None, Reply]: ...
