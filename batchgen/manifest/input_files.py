"""Files that requests send along: found, confined to their folders, known by their bytes.

A row names a file by its path. What is sent is what was looked at here: the content's hash is part
of the task's identity, and whoever sends the file holds its bytes against the same hash.
"""

import os
import stat
from collections.abc import Iterable
from hashlib import file_digest
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchgen.media.formats import Family, MediaType, sniff
from batchgen.text import one_line, show_bytes
from batchgen.types import LocalFile

MOST_FILE_BYTES = 50 * 1024**2  # OpenAI's bound for a picture to edit; the vendor tells none
_HEAD_BYTES = 4096
_MOST_REMEMBERED = 20_000
_SCHEME = "file:"
_KINDS: dict[Family, str] = {
    "image": "picture",
    "audio": "sound",
    "video": "video",
    "model": "3D model",
    "document": "document",
}


class InputFileError(ValueError):
    """A file that cannot be sent; the message says why, and what would be right."""


class InputFiles:
    """Looks at files, each version of a file once.

    folder: the manifest's; files below it may be sent, and those below the `allowed` ones.
    """

    def __init__(self, folder: Path = Path(), allowed: Iterable[Path] = ()) -> None:
        self.folder = folder
        self._roots = tuple(root.resolve() for root in (folder, *allowed))
        self._known: dict[tuple[str, int, int, int], tuple[str, MediaType | None]] = {}

    def find(self, name: str, folder: Path, families: Iterable[Family] = ("image",)) -> LocalFile:
        """Look at the file of that name (a path, or a `file:` URL) relative to a folder.

        Raises InputFileError.
        """
        shown = one_line(name, 120)
        try:
            path = (folder / _path(name)).resolve(strict=True)
            self._confine(path, shown)
            return self._look(path, name, tuple(families))
        except (FileNotFoundError, NotADirectoryError):
            where = "" if folder == Path() else f" in {folder}"
            raise InputFileError(f"there is no file {shown}{where}") from None
        except (OSError, RuntimeError) as error:  # a loop of links is a RuntimeError in Python 3.11
            reason = getattr(error, "strerror", None) or error
            raise InputFileError(f"the file {shown} cannot be read: {reason}") from error

    def _confine(self, path: Path, shown: str) -> None:
        if not any(path.is_relative_to(root) for root in self._roots):
            raise InputFileError(
                f"the file {shown} is outside the manifest's folder; where it is meant to be sent,"
                " allow its folder: --allow-files DIR"
            )

    def _look(self, path: Path, name: str, families: tuple[Family, ...]) -> LocalFile:
        shown = one_line(name, 120)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputFileError(f"{shown} is no file")
        if status.st_size > MOST_FILE_BYTES:
            size, most = show_bytes(status.st_size), show_bytes(MOST_FILE_BYTES)
            raise InputFileError(f"the file {shown} has {size}; {most} are the most")
        digest, media = self._content(path, status)
        if media is None or media.family not in families:
            kinds = " or ".join(_KINDS[family] for family in families)
            found = media.mime if media else "nothing that is known"
            raise InputFileError(f"the file {shown} is no {kinds}: its bytes are {found}")
        return LocalFile(path, name, status.st_size, digest, media.mime)

    def _content(self, path: Path, status: os.stat_result) -> tuple[str, MediaType | None]:
        version = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        known = self._known.get(version)
        if known is None:
            if len(self._known) >= _MOST_REMEMBERED:
                self._known.clear()
            known = self._known[version] = _read(path)
        return known


def is_file_url(text: str) -> bool:
    """Whether a text names a file by a `file:` URL."""
    return text[: len(_SCHEME)].lower() == _SCHEME


def _path(name: str) -> str:
    return unquote(urlsplit(name).path) if is_file_url(name) else name


def _read(path: Path) -> tuple[str, MediaType | None]:
    """The hash of a file's bytes, and the type that the first of them tell."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        return file_digest(file, "sha256").hexdigest(), sniff(head)
