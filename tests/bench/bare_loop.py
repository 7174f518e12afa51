"""`python -m tests.bench.bare_loop MANIFEST BASE_URL IN_FLIGHT FORMAT FOLDER`: no guarantees.

A simple script: aiohttp, workers, json, base64, files. It has no ledger, no fsync, no retries and
no checks; after a crash everything is paid for again.
"""

import asyncio
import base64
import csv
import json
import sys
from pathlib import Path

import aiohttp


async def _worker(
    session: aiohttp.ClientSession,
    queue: "asyncio.Queue[tuple[str, str]]",
    url: str,
    *,
    answer: str,
    folder: str,
) -> None:
    while not queue.empty():
        name, prompt = queue.get_nowait()
        body = {"model": "dall-e-2", "prompt": prompt, "response_format": answer}
        async with session.post(url, json=body) as response:
            item = json.loads(await response.read())["data"][0]
        if answer == "b64_json":
            data = base64.b64decode(item["b64_json"])
        else:
            async with session.get(item["url"]) as file:
                data = await file.read()
        (Path(folder) / f"{name}.png").write_bytes(data)


def _queue(manifest: str) -> "asyncio.Queue[tuple[str, str]]":
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    with Path(manifest).open(newline="") as file:
        for row in csv.DictReader(file):
            queue.put_nowait((row["id"], row["prompt"]))
    return queue


async def _main(manifest: str, base_url: str, in_flight: int, answer: str, folder: str) -> None:
    queue = _queue(manifest)
    url = f"{base_url}/v1/images/generations"
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with (
        aiohttp.ClientSession(connector=connector) as session,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(in_flight):
            group.create_task(_worker(session, queue, url, answer=answer, folder=folder))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4], sys.argv[5]))
