"""The beginnings of texts among the artifacts, to be read in the page itself."""

from collections.abc import Iterable
from pathlib import Path

from batchgen.types import Artifact

CHARACTERS = 2000
_MOST_CHARACTERS = 4_000_000  # of all texts of a page
_TEXTS = frozenset({"application/json", "application/x-subrip"})


class Excerpts:
    """Reads texts below a directory until a page has as much of them as it can bear."""

    def __init__(self, directory: Path, *, most: int = _MOST_CHARACTERS) -> None:
        self._directory = directory
        self._left = most

    def of(self, artifacts: Iterable[Artifact]) -> list[str | None]:
        """The beginning of each artifact; None for what is no text or cannot be read."""
        return [self._of(one) for one in artifacts]

    def _of(self, artifact: Artifact) -> str | None:
        if not _is_text(artifact.media_type) or self._left <= 0:
            return None
        try:
            with (self._directory / artifact.path).open(encoding="utf-8", errors="replace") as file:
                text = file.read(CHARACTERS + 1)
        except OSError:
            return None
        cut = text if len(text) <= CHARACTERS else f"{text[:CHARACTERS]}…"
        self._left -= len(cut)
        return cut


def _is_text(media_type: str) -> bool:
    return media_type.startswith("text/") or media_type in _TEXTS
