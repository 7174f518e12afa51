"""The roles of the parts that send requests and that store artifacts."""

from collections.abc import Coroutine, Iterable
from typing import Protocol

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
