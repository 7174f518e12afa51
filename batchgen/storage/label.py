"""`output.embed_metadata`: a picture's story in its own metadata, before it is published.

What is written is a new temporary file: a crash leaves it beside the provider's, and both are
swept at the next start.
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
_VALUE_CHARACTERS = 1000  # a picture given as a parameter is no story


class Keeper(Protocol):
    """Opens temporary files, and removes those that will not be published."""

    def open_sink(self) -> PayloadSink: ...

    def discard(self, spooled: Spooled) -> None: ...


class MetadataWriter:
    """Gives pictures their story; what has no place for one stays as it is."""

    def __init__(self, keeper: Keeper) -> None:
        self._keeper = keeper

    async def __call__(self, spooled: Spooled, task: Task, finished: Finished) -> Spooled:
        """The payload with its story. Raises StorageError."""
        return await asyncio.to_thread(self._labelled, spooled, task, finished)

    def _labelled(self, spooled: Spooled, task: Task, finished: Finished) -> Spooled:
        media = sniff(spooled.head)
        story = metadata_of(task, finished)
        with _opened(spooled) as file:
            changes = media and metadata_edits(file, media, _encoded(story), task.prompt)
            if not changes:
                return spooled
            sink = self._keeper.open_sink()
            try:
                apply_edits(file, changes, sink.write)
            except BaseException:
                sink.discard()
                raise
        self._keeper.discard(spooled)
        return sink.close()


async def unlabelled(spooled: Spooled, task: Task, finished: Finished) -> Spooled:  # noqa: ARG001  # the same call
    """The provider's bytes, unchanged."""
    return spooled


def metadata_of(task: Task, told: Finished | Outcome) -> dict[str, Json]:
    """What a picture tells of itself."""
    return {
        "schema": SCHEMA,
        "id": task.id,
        "key": task.key,
        "model": task.model,
        "prompt": task.prompt,
        "params": {name: _shortened(value) for name, value in task.params.items()},
        "seed": told.seed,
        "revised_prompt": told.revised_prompt,
    }


def _encoded(story: dict[str, Json]) -> str:
    """The story as JSON; a prompt that is too long for the file's metadata is cut."""
    encoded = msgspec.json.encode(story)
    if len(encoded) > MAX_METADATA_BYTES:
        short = {**story, "params": {}, "revised_prompt": None, "cut": True}
        room = (MAX_METADATA_BYTES - len(msgspec.json.encode({**short, "prompt": ""}))) // 6
        encoded = msgspec.json.encode({**short, "prompt": str(story["prompt"])[: max(0, room)]})
    return encoded.decode()


def _shortened(value: Json) -> Json:
    encoded = msgspec.json.encode(value)
    if len(encoded) <= _VALUE_CHARACTERS:
        return value
    return encoded.decode()[: _VALUE_CHARACTERS - 1] + "…"


def _opened(spooled: Spooled) -> BinaryIO:
    if spooled.data is not None:
        return io.BytesIO(spooled.data)
    return Path(spooled.path).open("rb")
