"""Thumbnails of artifacts, made once: named by what they show, so that they are never stale."""

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from os import cpu_count
from pathlib import Path
from typing import TypeAlias

from PIL import Image, ImageOps

from batchgen.errors import StorageError
from batchgen.media.formats import pixel_count
from batchgen.types import Artifact, Record

# A thumbnail's name below FOLDER; "" where the artifact is small itself; None where none is made.
Preview: TypeAlias = str | None
Shown: TypeAlias = tuple[Record, tuple[Preview, ...]]

FOLDER = ".batchgen/thumbs"
SIDE = 320  # pixels: a card of the gallery on a screen of double density
_SMALL_BYTES = 24_000  # about what a thumbnail has
_MOST_PIXELS = 64_000_000  # more would take seconds and hundreds of megabytes
_AT_ONCE = 256
_OWN_PREVIEW = frozenset({"image/svg+xml", "image/avif"})  # browsers show them; Pillow may not


def with_previews(records: Iterable[Record], directory: Path, *, most: int) -> Iterator[Shown]:
    """The records, each with the previews of its artifacts; files that are missing are made.

    most: how many records may have previews; the others get none. Raises StorageError where a
    thumbnail cannot be written; a picture that cannot be read has none.
    """
    records = iter(records)
    with ThreadPoolExecutor(cpu_count() or 1, thread_name_prefix="thumbnails") as pool:

        def previews(record: Record) -> tuple[Preview, ...]:
            return tuple(preview(one, directory) for one in record.outcome.artifacts)

        left = most
        while chunk := list(islice(records, _AT_ONCE)):
            drawn = chunk[: max(left, 0)]
            yield from zip(drawn, pool.map(previews, drawn), strict=True)
            yield from ((record, ()) for record in chunk[len(drawn) :])
            left -= len(chunk)


def preview(artifact: Artifact, directory: Path) -> Preview:
    """How an artifact is shown small; its thumbnail is made where it is not there yet."""
    if not artifact.media_type.startswith("image/"):
        return None
    if artifact.size_bytes <= _SMALL_BYTES or artifact.media_type in _OWN_PREVIEW:
        return "" if (directory / artifact.path).is_file() else None
    name = f"{artifact.sha256[:2]}/{artifact.sha256[2:24]}.webp"
    path = directory / FOLDER / name
    if path.exists():
        return name
    picture = thumbnail(directory / artifact.path)
    if picture is None:
        return None
    _save(picture, path)
    return name


def thumbnail(path: Path, side: int = SIDE) -> Image.Image | None:
    """A picture that fits a square of `side` pixels; None for what cannot be read."""
    try:
        if not 0 < pixel_count(path) <= _MOST_PIXELS:
            return None
        with Image.open(path) as picture:
            picture.draft("RGB", (side, side))
            upright = ImageOps.exif_transpose(picture)
            mode = "RGBA" if upright.has_transparency_data else "RGB"
            small = upright.convert(mode)
            small.thumbnail((side, side))
            return small
    except (OSError, ValueError, SyntaxError):  # Pillow: damaged files, unknown types
        return None


def _save(picture: Image.Image, path: Path) -> None:
    try:
        try:
            _write(picture, path)
        except FileNotFoundError:  # another report of this directory has cleared the folder away
            _write(picture, path)
    except OSError as error:
        raise StorageError(f"cannot write {path} ({error.strerror or error})") from error


def _write(picture: Image.Image, path: Path) -> None:
    temporary = path.with_suffix(f".{os.getpid()}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(temporary, "WEBP", quality=75, method=2)
    temporary.replace(path)
