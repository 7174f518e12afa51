"""Embeds a task's metadata in its images before they are published (`output.embed_metadata`).

The image with metadata is a new temporary file. A crash leaves both temporary files, and the next
run removes them when it starts.
"""

import asyncio
import io
from pathlib import Path
from typing import BinaryIO, Protocol

import msgspec

from batchgen.media.embed import MAX_METADATA_BYTES, apply_edits, metadata_edits
from batchgen.media.formats import sniff
from batchgen.types import Finished, Json, Outcome, PayloadSink, Spooled, Task

SCHEMA = 1
_MAX_VALUE_CHARACTERS = 1000  # longer parameters, such as an image in base64, are cut


class TemporaryFiles(Protocol):
    """Opens temporary files, and removes those that will not be published."""

    def open_sink(self) -> PayloadSink: ...

    def discard(self, spooled: Spooled) -> None: ...


class MetadataWriter:
    """Embeds metadata in images; a file whose format has no place for it stays unchanged."""

    def __init__(self, files: TemporaryFiles) -> None:
        self._files = files

    async def __call__(self, spooled: Spooled, task: Task, finished: Finished) -> Spooled:
        """Return the payload with metadata, or unchanged. Raises StorageError."""
        return await asyncio.to_thread(self._embed, spooled, task, finished)

    def _embed(self, spooled: Spooled, task: Task, finished: Finished) -> Spooled:
        media = sniff(spooled.head)
        metadata = metadata_of(task, finished)
        with _open(spooled) as file:
            edits = media and metadata_edits(file, media, _encode(metadata), task.prompt)
            if not edits:
                return spooled
            sink = self._files.open_sink()
            try:
                apply_edits(file, edits, sink.write)
            except BaseException:
                sink.discard()
                raise
        self._files.discard(spooled)
        return sink.close()


async def leave_unchanged(spooled: Spooled, task: Task, finished: Finished) -> Spooled:  # noqa: ARG001  # the signature of a MetadataWriter
    """Return the payload unchanged."""
    return spooled


def metadata_of(task: Task, result: Finished | Outcome) -> dict[str, Json]:
    """Return the metadata of a task's artifacts."""
    return {
        "schema": SCHEMA,
        "id": task.id,
        "key": task.key,
        "model": task.model,
        "prompt": task.prompt,
        "params": {name: _shorten(value) for name, value in task.params.items()},
        "seed": result.seed,
        "revised_prompt": result.revised_prompt,
    }


def _encode(metadata: dict[str, Json]) -> str:
    """Return the metadata as JSON; if it is too long for a file, the prompt is cut."""
    encoded = msgspec.json.encode(metadata)
    if len(encoded) > MAX_METADATA_BYTES:
        short = {**metadata, "params": {}, "revised_prompt": None, "cut": True}
        max_characters = (
            MAX_METADATA_BYTES - len(msgspec.json.encode({**short, "prompt": ""}))
        ) // 6
        encoded = msgspec.json.encode(
            {**short, "prompt": str(metadata["prompt"])[: max(0, max_characters)]}
        )
    return encoded.decode()


def _shorten(value: Json) -> Json:
    encoded = msgspec.json.encode(value)
    if len(encoded) <= _MAX_VALUE_CHARACTERS:
        return value
    return encoded.decode()[: _MAX_VALUE_CHARACTERS - 1] + "…"


def _open(spooled: Spooled) -> BinaryIO:
    if spooled.data is not None:
        return io.BytesIO(spooled.data)
    return Path(spooled.path).open("rb")
