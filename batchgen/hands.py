"""The roles of the parts that send requests and that store artifacts."""

from collections.abc import Iterable
from typing import Protocol

from batchgen.types import Artifact, Made, Spooled


class Store(Protocol):
    """Keeps payloads as artifacts."""

    async def publish(self, payload: Spooled | Made, filename: str, n: int) -> Artifact: ...

    def settle(self, paths: Iterable[str]) -> None: ...

    def discard(self, spooled: Spooled) -> None: ...
