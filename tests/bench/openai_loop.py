"""`python -m tests.bench.openai_loop MANIFEST BASE_URL IN_FLIGHT FORMAT FOLDER`: with the SDK.

The official `openai` client in a worker loop; URLs are fetched with httpx, which it depends on.
"""

import asyncio
import base64
import csv
import sys
from pathlib import Path
from typing import Literal, cast

import httpx
import openai

Answer = Literal["b64_json", "url"]


async def _worker(
    client: openai.AsyncOpenAI,
    files: httpx.AsyncClient,
    queue: "asyncio.Queue[tuple[str, str]]",
    answer: Answer,
    folder: Path,
) -> None:
    while not queue.empty():
        name, prompt = queue.get_nowait()
        reply = await client.images.generate(
            model="dall-e-2", prompt=prompt, response_format=answer
        )
        item = (reply.data or [])[0]
        if item.url is None:
            data = base64.b64decode(item.b64_json or "")
        else:
            data = (await files.get(item.url)).content
        (folder / f"{name}.png").write_bytes(data)


def _queue(manifest: str) -> "asyncio.Queue[tuple[str, str]]":
    queue: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    with Path(manifest).open(newline="") as file:
        for row in csv.DictReader(file):
            queue.put_nowait((row["id"], row["prompt"]))
    return queue


async def _main(manifest: str, base_url: str, in_flight: int, answer: Answer, folder: str) -> None:
    queue = _queue(manifest)
    async with (
        openai.AsyncOpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0) as client,
        httpx.AsyncClient(limits=httpx.Limits(max_connections=in_flight)) as files,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(in_flight):
            group.create_task(_worker(client, files, queue, answer, Path(folder)))


if __name__ == "__main__":
    _, manifest, base_url, in_flight, answer, folder = sys.argv
    asyncio.run(_main(manifest, base_url, int(in_flight), cast("Answer", answer), folder))
