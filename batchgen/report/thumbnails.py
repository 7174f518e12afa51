"""Thumbnails of artifacts, written once: the name is the artifact's hash, so none is stale."""

import io
import re
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import TypeAlias

from PIL import Image

from batchgen.errors import StorageError
from batchgen.media import pictures
from batchgen.media.pictures import ROOM, HeavyPictureError, Room
from batchgen.storage.files import Folder, stays_inside
from batchgen.types import Artifact, Record

# A thumbnail's name below FOLDER; "" if the artifact itself is small; TOO_LARGE if it takes too
# much memory to make one; None if there is none.
Preview: TypeAlias = str | None
RecordPreviews: TypeAlias = tuple[Record, tuple[Preview, ...]]

FOLDER = ".batchgen/thumbs"
SIDE = 320  # pixels: a card of the gallery on a screen of double density
_SMALL_BYTES = 24_000  # about the size of a thumbnail
TOO_LARGE = "/"  # no name of a file
_CHUNK = 256
_HASH = re.compile("[0-9a-f]{64}")
_DAMAGED = (OSError, ValueError, SyntaxError)  # Pillow raises all three for damaged files
_OWN_PREVIEW = frozenset({"image/svg+xml", "image/avif"})  # browsers show them, Pillow may not


def with_previews(
    records: Iterable[Record], directory: Path, *, limit: int
) -> Iterator[RecordPreviews]:
    """Yield the records, each with the previews of its artifacts; create missing thumbnails.

    limit: records after this many get no previews. Raise StorageError if a thumbnail cannot be
    written; an image that cannot be read has none.
    """
    records = iter(records)
    with ThreadPoolExecutor(cpu_count() or 1, thread_name_prefix="thumbnails") as pool:

        def previews(record: Record) -> tuple[Preview, ...]:
            return tuple(preview(artifact, directory) for artifact in record.outcome.artifacts)

        left = limit
        while chunk := list(islice(records, _CHUNK)):
            previewed = chunk[: max(left, 0)]
            yield from zip(previewed, pool.map(previews, previewed), strict=True)
            yield from ((record, ()) for record in chunk[len(previewed) :])
            left -= len(chunk)


def preview(artifact: Artifact, directory: Path) -> Preview:
    """Return the preview of an artifact; create its thumbnail if it is missing."""
    folder = Folder(directory)
    if not (
        artifact.media_type.startswith("image/")
        and _HASH.fullmatch(artifact.sha256)
        and stays_inside(artifact.path)
    ):
        return None
    if artifact.size_bytes <= _SMALL_BYTES or artifact.media_type in _OWN_PREVIEW:
        return "" if folder.is_file(artifact.path) else None
    name = f"{artifact.sha256[:2]}/{artifact.sha256[2:24]}.webp"
    if folder.is_file(f"{FOLDER}/{name}"):
        return name
    if not folder.is_file(artifact.path):
        return None
    return _create(directory / artifact.path, folder, name)


def _create(path: Path, folder: Folder, name: str) -> Preview:
    """Write the thumbnail of an image; return its preview."""
    try:
        image = pictures.thumbnail(path, SIDE)
    except HeavyPictureError:
        return TOO_LARGE
    except _DAMAGED:
        return None
    _save(image, folder, f"{FOLDER}/{name}")
    return name


def thumbnail(path: Path, side: int = SIDE, room: Room = ROOM) -> Image.Image | None:
    """Return the image scaled to a square of `side` pixels; None if it cannot be read."""
    try:
        return pictures.thumbnail(path, side, room)
    except (*_DAMAGED, HeavyPictureError):
        return None


def _save(image: Image.Image, folder: Folder, path: str) -> None:
    encoded = io.BytesIO()
    image.save(encoded, "WEBP", quality=75, method=2)
    try:
        folder.replace(path, encoded.getvalue())
    except OSError as error:
        raise StorageError(
            f"cannot write {folder.root / path} ({error.strerror or error})"
        ) from error
