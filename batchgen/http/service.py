"""Connection settings of a provider, and the interface of its transport."""

from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from batchgen.types import HttpRequest, Reply, Timeouts


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
        """Return the URL of a path such as /v1/images/generations; the base may end in /v1.

        A URL at the provider's own host stays as it is.
        """
        if path.startswith(("http://", "https://")):
            return path
        base = self.base_url.rstrip("/")
        for version in ("/v1", "/v2"):
            base = base.removesuffix(version)
        return base + path


class Transport(Protocol):
    """Sends requests to the provider and fetches the files that its replies name."""

    def send(self, request: HttpRequest, idempotency_key: str) -> Coroutine[None, None, Reply]: ...

    def fetch(self, url: str) -> Coroutine[None, None, Reply]: ...
