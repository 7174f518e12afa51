"""Excerpts of artifacts that the page shows: the beginning of texts, the shape of vectors."""

import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import BinaryIO

from batchgen.errors import StorageError
from batchgen.media.formats import NPY
from batchgen.storage.files import Folder
from batchgen.types import Artifact

CHARACTERS = 2000
_MAX_CHARACTERS = 4_000_000  # of all texts in a page
_TEXTS = frozenset({"application/json", "application/x-subrip"})
# The header of a .npy file is a Python literal (NumPy's NEP 1).
_HEADER_BYTES = 1024
_TYPE = re.compile(rb"'descr': *'[<>|=]?([a-z])([0-9]{1,2})'")
_SHAPE = re.compile(rb"'shape': *\(([0-9, ]{1,80})\)")
_TIMES = " \N{MULTIPLICATION SIGN} "
_KINDS = {b"f": "floats", b"i": "whole numbers", b"u": "whole numbers"}


class Excerpts:
    """Reads files below a directory, in total at most `limit` characters of their texts."""

    def __init__(self, directory: Path, *, limit: int = _MAX_CHARACTERS) -> None:
        self._directory = directory
        self._left = limit

    def of(self, artifacts: Iterable[Artifact]) -> list[str | None]:
        """Return the beginning or shape of each artifact, None if it has none or cannot be read."""
        return [self._of(artifact) for artifact in artifacts]

    def _of(self, artifact: Artifact) -> str | None:
        if self._left <= 0:
            return None
        text = self._read(artifact)
        self._left -= len(text or "")
        return text

    def _read(self, artifact: Artifact) -> str | None:
        is_array = artifact.media_type == NPY.mime
        if not (is_array or _is_text(artifact.media_type)):
            return None
        try:
            with Folder(self._directory).open_to_read(artifact.path) as file:
                return _shape(file.read(_HEADER_BYTES)) if is_array else _beginning(file)
        except (OSError, StorageError):
            return None


def _beginning(file: BinaryIO) -> str:
    with io.TextIOWrapper(file, encoding="utf-8", errors="replace") as text_file:
        text = text_file.read(CHARACTERS + 1)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def _shape(head: bytes) -> str | None:
    """Return an array's shape and type in words, None if its header has none."""
    kind, shape = _TYPE.search(head), _SHAPE.search(head)
    if kind is None or shape is None or kind[1] not in _KINDS:
        return None
    sizes = _TIMES.join(size.strip() for size in shape[1].decode().split(",") if size.strip())
    return f"{sizes} {_KINDS[kind[1]]} of {8 * int(kind[2])} bits"


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXTS
