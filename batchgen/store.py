"""Puts bytes at a path, atomically: the local store.

A payload is written to a temporary file in DIR/.batchgen/tmp while it arrives. Publishing is
fsync of the file, a hard link at its path, fsync of the folder (and of those that a new folder
was made in); only then does it count as stored. The temporary name goes when the ledger has the
outcome. So a crash before the link leaves a temporary file, swept when the next run starts; after
it, a file with two names: an orphan, which whoever wants that path next takes over. A file that
stands at the path and is no orphan is somebody else's and is never touched.
"""

import asyncio
import contextlib
import errno
import hashlib
import itertools
import os
import secrets
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from batchgen.errors import StorageError
from batchgen.media import MediaType, dimensions, sniff
from batchgen.types import Artifact, Spooled

HEAD_BYTES = 4096
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_FILE_THREADS = 8  # fsync waits on the disk: more than cores pays


class LocalStore:
    """Artifacts below `root`; temporary files in `root/.batchgen/tmp`.

    is_taken: tells whether the ledger knows an artifact of another task or generation at a path.
    """

    def __init__(self, root: Path, *, is_taken: Callable[[str], bool]) -> None:
        self._root = root
        self._temporary = root / ".batchgen" / "tmp"
        self._is_taken = is_taken
        self._token = secrets.token_hex(4)  # names apart from those that earlier runs left
        self._numbers = itertools.count(1)
        self._orphans: set[tuple[int, int]] = set()
        self._unsettled: dict[str, Path] = {}
        self._pool = ThreadPoolExecutor(_FILE_THREADS, thread_name_prefix="store")

    def prepare(self) -> int:
        """Make the folders and sweep temporary files; return how many were swept.

        The second names of orphans stay until `sweep`, so that several crashes lose track of none.
        """
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
            if self._temporary.is_symlink():
                raise StorageError(f"{self._temporary} is a symbolic link: remove it")
            swept = 0
            for leftover in self._temporary.iterdir():
                found = leftover.lstat()
                if found.st_nlink > 1:
                    self._orphans.add((found.st_dev, found.st_ino))
                else:
                    leftover.unlink()
                    swept += 1
        except OSError as error:
            raise _failed(self._temporary, error) from error
        return swept

    def sweep(self) -> None:
        """Remove all temporary files, once a run has left nothing undone."""
        for leftover in self._temporary.iterdir():
            with contextlib.suppress(OSError):
                leftover.unlink()

    def close(self) -> None:
        """Wait for the file threads."""
        self._pool.shutdown()

    def open_sink(self) -> "FileSink":
        """A new temporary file that a payload is written to."""
        return FileSink(self._temporary / f"{self._token}-{next(self._numbers)}.part")

    def discard(self, spooled: Spooled) -> None:
        """Remove a payload that will not be published."""
        with contextlib.suppress(OSError):
            spooled.path.unlink()

    async def publish(self, spooled: Spooled, filename: str, n: int) -> Artifact:
        """Store a payload as number `n` of its task at `filename` (with `{n}` and `{ext}` open).

        The extension follows the bytes. An orphan at the path is taken over; any other file is
        left alone and the artifact gets the next free name. Raises StorageError; bytes of no known
        type are a ValueError.
        """
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._pool, self._publish, spooled, filename, n)

    def settle(self, artifacts: Iterable[Artifact]) -> None:
        """The ledger has these artifacts: their temporary names may go."""
        for artifact in artifacts:
            temporary = self._unsettled.pop(artifact.path, None)
            if temporary is not None:
                self._pool.submit(temporary.unlink, missing_ok=True)

    def _publish(self, spooled: Spooled, filename: str, n: int) -> Artifact:
        media = sniff(spooled.head)
        if media is None:
            raise ValueError(f"a payload of no known type was accepted: {spooled.head[:24]!r}")
        try:
            size = _fsync_and_measure(spooled.path, media)
            wanted = open_filename(filename, n, media.extension)
            wanted = self._with_folder(wanted)
            path = self._place(spooled.path, wanted)
            fsync_folder((self._root / path).parent)
        except OSError as error:
            raise _failed(self._root, error) from error
        width, height = size or (None, None)
        return Artifact(path, spooled.size_bytes, spooled.sha256, media.mime, width, height)

    def _with_folder(self, wanted: str) -> str:
        """Make the folder of a path; where a file is in its way, the path without folders."""
        try:
            make_folder((self._root / wanted).parent)
        except (FileExistsError, NotADirectoryError):
            return wanted.replace("/", "-")
        return wanted

    def _place(self, temporary: Path, wanted: str) -> str:
        """Give the file its name below the root: the wanted one, or the next that is free."""
        for path in _names(wanted):
            target = self._root / path
            if self._is_orphan(target, path):
                target.unlink()
            try:
                os.link(temporary, target)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if os.path.lexists(target):
                    continue
                temporary.rename(target)
            self._unsettled[path] = temporary
            return path
        raise AssertionError("numbers do not end")

    def _is_orphan(self, target: Path, path: str) -> bool:
        if not self._orphans:
            return False
        try:
            found = target.lstat()
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) in self._orphans and not self._is_taken(path)


class FileSink:
    """A temporary file that hashes what passes through it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._size = 0
        self._head = b""
        try:
            self._file = path.open("xb", buffering=0)
        except OSError as error:
            raise _failed(path, error) from error

    def write(self, data: bytes) -> None:
        """Append; raises StorageError when the disk is full."""
        if self._size < HEAD_BYTES:
            self._head += data[: HEAD_BYTES - self._size]
        self._hash.update(data)
        try:
            view = memoryview(data)
            while view:
                view = view[self._file.write(view) :]
        except OSError as error:
            raise _failed(self._path, error) from error
        self._size += len(data)

    def close(self) -> Spooled:
        """Everything is written; the file is not yet durable."""
        self._file.close()
        return Spooled(self._path, self._size, self._hash.hexdigest(), self._head)

    def discard(self) -> None:
        """Remove the file; harmless when repeated."""
        self._file.close()
        with contextlib.suppress(OSError):
            self._path.unlink()


def _names(path: str) -> Iterator[str]:
    stem, dot, extension = path.rpartition(".")
    yield path
    for number in itertools.count(2):
        yield f"{stem}~{number}{dot}{extension}"


def open_filename(filename: str, n: int, extension: str) -> str:
    """Fill the two places that are open until the bytes are known."""
    return filename.replace("{n}", str(n)).replace("{ext}", extension)


def _fsync_and_measure(path: Path, media: MediaType) -> tuple[int, int] | None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
        return dimensions(file, media)


def make_folder(folder: Path) -> None:
    """Make a folder that a crash does not take away again."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    fsync_folder(folder.parent)


def fsync_folder(folder: Path) -> None:
    """Make the names in a folder durable. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_atomically(path: Path, data: bytes) -> None:
    """Replace a file of an output directory. Raises StorageError."""
    temporary = path.parent / ".batchgen" / f"{path.name}.part"
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    except OSError as error:
        raise StorageError(f"cannot write {path} ({error.strerror or error})") from error


def _failed(path: Path, error: OSError) -> StorageError:
    place = error.filename2 or error.filename or path
    return StorageError(
        f"cannot write {place} ({error.strerror or error}): free space or mend the"
        " permissions, then run the same command again to go on"
    )
