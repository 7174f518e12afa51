"""Requests to the other families, for the tests of the simulator."""

from typing import Any

from batchgen.simulator.server import Simulator
from tests.simulator.client import session


def origin(simulator: Simulator) -> str:
    return simulator.base_url.removesuffix("/v1")


async def send(
    simulator: Simulator, path: str, body: Any, key: str | None = None
) -> tuple[int, Any]:
    """POST JSON; return the status and the JSON of the reply."""
    headers = {"Idempotency-Key": key} if key else {}
    async with session() as http:
        url = origin(simulator) + path
        async with http.post(url, json=body, headers=headers) as response:
            return response.status, await response.json()


async def get(simulator: Simulator, path: str, **query: str) -> tuple[int, Any]:
    """GET; return the status and the JSON of the reply."""
    url = origin(simulator) + path
    async with session() as http, http.get(url, params=query) as response:
        return response.status, await response.json()
