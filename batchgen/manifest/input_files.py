"""Local files that requests send: they must be in an allowed folder and have a known type.

The SHA-256 of a file's content is part of the task's identity. It is compared again when the file
is sent, so only the content that was checked here is sent.
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

MAX_FILE_BYTES = 50 * 1024**2  # OpenAI's limit for an image to edit; AIMLAPI documents none
_HEAD_BYTES = 4096
_MAX_CACHED = 20_000
_SCHEME = "file:"
_KINDS: dict[Family, str] = {
    "image": "an image",
    "audio": "an audio file",
    "video": "a video",
    "model": "a 3D model",
    "document": "a document",
}


class InputFileError(ValueError):
    """A file cannot be sent; the message says why, and what to do."""


class InputFiles:
    """Checks input files; each version of a file is read once.

    folder: the manifest's folder. Files in it, in the `allowed` folders and in folders below them
    may be sent.
    """

    def __init__(self, folder: Path = Path(), allowed: Iterable[Path] = ()) -> None:
        self.folder = folder
        self._roots = tuple(root.resolve() for root in (folder, *allowed))
        self._cache: dict[tuple[str, int, int, int], tuple[str, MediaType | None]] = {}

    def find(self, name: str, folder: Path, families: Iterable[Family] = ("image",)) -> LocalFile:
        """Return the file that `name` (a path or a `file:` URL) names relative to `folder`.

        families: the media families that are accepted.
        Raise InputFileError if the file does not exist, is not allowed, is larger than
        MAX_FILE_BYTES or has another type.
        """
        label = one_line(name, 120)
        try:
            path = (folder / _path(name)).resolve(strict=True)
            self._check_folder(path, label)
            return self._check_file(path, name, tuple(families))
        except (FileNotFoundError, NotADirectoryError):
            place = "" if folder == Path() else f" in {folder}"
            raise InputFileError(f"there is no file {label}{place}") from None
        except (OSError, RuntimeError) as error:  # Python 3.11: RuntimeError for a symlink loop
            reason = getattr(error, "strerror", None) or error
            raise InputFileError(f"the file {label} cannot be read: {reason}") from error

    def _check_folder(self, path: Path, label: str) -> None:
        if not any(path.is_relative_to(root) for root in self._roots):
            raise InputFileError(
                f"the file {label} is outside the manifest's folder; to send it, allow its folder"
                " with --allow-files DIR"
            )

    def _check_file(self, path: Path, name: str, families: tuple[Family, ...]) -> LocalFile:
        label = one_line(name, 120)
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise InputFileError(f"{label} is not a regular file")
        if status.st_size > MAX_FILE_BYTES:
            size, limit = show_bytes(status.st_size), show_bytes(MAX_FILE_BYTES)
            raise InputFileError(f"the file {label} is {size}; the limit is {limit}")
        digest, media = self._read_once(path, status)
        if media is None or media.family not in families:
            kinds = " or ".join(_KINDS[family] for family in families)
            actual = media.mime if media else "of an unknown type"
            raise InputFileError(f"the file {label} is not {kinds}: its content is {actual}")
        return LocalFile(path, name, status.st_size, digest, media.mime)

    def _read_once(self, path: Path, status: os.stat_result) -> tuple[str, MediaType | None]:
        version = (str(path), status.st_size, status.st_mtime_ns, status.st_ino)
        cached = self._cache.get(version)
        if cached is None:
            if len(self._cache) >= _MAX_CACHED:
                self._cache.clear()
            cached = self._cache[version] = _read(path)
        return cached


def is_file_url(text: str) -> bool:
    """Return whether a text is a `file:` URL."""
    return text[: len(_SCHEME)].lower() == _SCHEME


def _path(name: str) -> str:
    return unquote(urlsplit(name).path) if is_file_url(name) else name


def _read(path: Path) -> tuple[str, MediaType | None]:
    """Return the SHA-256 of a file and the type that its first bytes show."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        file.seek(0)
        return file_digest(file, "sha256").hexdigest(), sniff(head)
