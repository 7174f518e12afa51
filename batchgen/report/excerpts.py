"""What can be read of artifacts in the page itself: how texts begin, and the shape of vectors."""

import re
from collections.abc import Iterable
from pathlib import Path

from batchgen.media.formats import NPY
from batchgen.types import Artifact

CHARACTERS = 2000
_MOST_CHARACTERS = 4_000_000  # of all texts of a page
_TEXTS = frozenset({"application/json", "application/x-subrip"})
# The header of a .npy file is a literal of Python (NumPy's NEP 1).
_HEADER_BYTES = 1024
_TYPE = re.compile(rb"'descr': *'[<>|=]?([a-z])([0-9]{1,2})'")
_SHAPE = re.compile(rb"'shape': *\(([0-9, ]{1,80})\)")
_TIMES = " \N{MULTIPLICATION SIGN} "
_KINDS = {b"f": "floats", b"i": "whole numbers", b"u": "whole numbers"}


class Excerpts:
    """Reads files below a directory until a page has as much of their texts as it can bear."""

    def __init__(self, directory: Path, *, most: int = _MOST_CHARACTERS) -> None:
        self._directory = directory
        self._left = most

    def of(self, artifacts: Iterable[Artifact]) -> list[str | None]:
        """The beginning or shape of each artifact; None for what has neither or cannot be read."""
        return [self._of(one) for one in artifacts]

    def _of(self, artifact: Artifact) -> str | None:
        if self._left <= 0:
            return None
        text = self._told(artifact)
        self._left -= len(text or "")
        return text

    def _told(self, artifact: Artifact) -> str | None:
        path = self._directory / artifact.path
        try:
            if artifact.media_type == NPY.mime:
                with path.open("rb") as file:
                    return _shape(file.read(_HEADER_BYTES))
            return _beginning(path) if _is_text(artifact.media_type) else None
        except OSError:
            return None


def _beginning(path: Path) -> str:
    with path.open(encoding="utf-8", errors="replace") as file:
        text = file.read(CHARACTERS + 1)
    return text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"


def _shape(head: bytes) -> str | None:
    """An array's shape and type in words; None where its header tells none."""
    kind, shape = _TYPE.search(head), _SHAPE.search(head)
    if kind is None or shape is None or kind[1] not in _KINDS:
        return None
    sizes = _TIMES.join(size.strip() for size in shape[1].decode().split(",") if size.strip())
    return f"{sizes} {_KINDS[kind[1]]} of {8 * int(kind[2])} bits"


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXTS
