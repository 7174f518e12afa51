"""Clients for the tests of the simulator: the official SDK, and plain HTTP."""

import asyncio
import io
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from openai import AsyncOpenAI
from PIL import Image
from yarl import URL

from batchgen.simulator.server import Simulator

KEY = "a-key"


def sdk(simulator: Simulator, api_key: str = KEY) -> AsyncOpenAI:
    """Return the official SDK, without its own retries."""
    return AsyncOpenAI(base_url=simulator.base_url, api_key=api_key, max_retries=0)


@asynccontextmanager
async def session(key: str = KEY) -> AsyncIterator[aiohttp.ClientSession]:
    """Open a plain HTTP session that sends a key in every request."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with aiohttp.ClientSession(headers=headers) as http:
        yield http


async def post(
    simulator: Simulator,
    body: Any,
    *,
    headers: Mapping[str, str] | None = None,
    key: str = KEY,
) -> tuple[int, Any, Mapping[str, str]]:
    """Request images; return the status, the JSON and the headers."""
    url = f"{simulator.base_url}/images/generations"
    async with session(key) as http, http.post(url, json=body, headers=headers) as response:
        return response.status, await response.json(), response.headers


async def fetch(url: str, headers: Mapping[str, str] | None = None) -> tuple[int, bytes]:
    """Get a file by its URL exactly as given, without a key."""
    async with session("") as http, http.get(URL(url, encoded=True), headers=headers) as response:
        return response.status, await response.read()


def opened(data: bytes) -> Image.Image:
    """Return the fully decoded image, so that a truncated file is an error."""
    image = Image.open(io.BytesIO(data))
    image.load()
    return image


async def until_in_flight(simulator: Simulator, count: int) -> None:
    """Wait until a number of requests are in flight."""
    async with asyncio.timeout(30), session("") as http:
        while simulator.stats()["in_flight"] != count:
            async with http.get(simulator.base_url.replace("/v1", "/_simulator/stats")) as reply:
                await reply.read()
