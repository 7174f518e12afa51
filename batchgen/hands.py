"""What a run reaches out with: towards the provider, and towards the disk."""

from collections.abc import Coroutine, Iterable
from typing import Protocol

import msgspec

from batchgen.types import Artifact, HttpRequest, Made, Reply, Spooled


class Transport(Protocol):
    """Sends requests to the provider and fetches what its replies point to."""

    def send(self, request: HttpRequest, idempotency_key: str) -> Coroutine[None, None, Reply]: ...

    async def fetch(self, url: str) -> Reply: ...


class Store(Protocol):
    """Keeps payloads as artifacts."""

    async def publish(self, payload: Spooled | Made, filename: str, n: int) -> Artifact: ...

    def settle(self, paths: Iterable[str]) -> None: ...

    def discard(self, spooled: Spooled) -> None: ...


class Hands(msgspec.Struct, frozen=True):
    """What sends requests, and what keeps the payloads that come of them."""

    transport: Transport
    store: Store
