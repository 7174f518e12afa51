"""The local store: publishes payloads as artifacts, each atomically and durably.

A payload is kept in memory or in a temporary file in DIR/.batchgen/tmp (`spool.py`). To publish
it, the store syncs the temporary file, makes a hard link at the artifact's path, and syncs the
folder (and the parents of new folders); only then is the artifact stored. Payloads that wait take
these steps as a group, so that they share the fsync of their folder. The temporary name is removed
when the ledger has committed the outcome.

A crash before the link leaves a temporary file, which the next run removes when it starts. A crash
after it leaves a file with two names, an orphan: the next artifact for that path replaces it. Any
other file at the path is not ours and is never touched.
"""

import errno
import hashlib
import io
import os
import secrets
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count, groupby
from pathlib import Path

import msgspec

from batchgen.errors import write_error
from batchgen.media.formats import MediaType, Size, dimensions, generated_type, received_type
from batchgen.storage.files import (
    EXISTING,
    NEW,
    PRIVATE,
    TEMPORARY,
    Folder,
    UnsafePathError,
    encoded,
)
from batchgen.storage.group_commit import GroupCommit
from batchgen.storage.spool import HEAD_BYTES, Spool
from batchgen.types import Artifact, GeneratedPayload, Spooled

# Hard links are not supported here.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_FILE_THREADS = 4  # more than cores: fsync waits for the disk
_MAX_GROUP = 32  # payloads that are published together
_HAS_FADVISE = hasattr(os, "posix_fadvise")


class LocalStore:
    """Artifacts below `root`; temporary files in `root/.batchgen/tmp`.

    is_taken: returns whether the ledger has an artifact at this path.
    """

    def __init__(self, root: Path, *, is_taken: Callable[[str], bool]) -> None:
        self._folder = Folder(root)
        self._temporary = f"{root}/{TEMPORARY}/"
        self._handle: int | None = None  # of the folder of temporary files
        self._is_taken = is_taken
        self._token = secrets.token_hex(8)  # so that no other program has names like these
        self._numbers = count(1)
        self._orphans: set[tuple[int, int]] = set()  # device and inode
        self._unconfirmed: dict[str, str] = {}  # temporary names by the artifact's path
        self._confirmed: deque[str] = deque()  # temporary names to remove
        self._publisher = GroupCommit(
            self._publish, name="store", threads=_FILE_THREADS, max_group=_MAX_GROUP
        )

    def prepare(self) -> int:
        """Make the folders, remove leftover temporary files and return how many were removed.

        Temporary names of orphans stay until `sweep`, so that an orphan is recognised after several
        crashes too. Raises StorageError.
        """
        removed = 0
        try:
            self._open_temporary()
            for leftover in os.listdir(self._handle):
                status = os.lstat(leftover, dir_fd=self._handle)
                if stat.S_ISDIR(status.st_mode):
                    continue  # of another program
                if status.st_nlink > 1:
                    self._orphans.add((status.st_dev, status.st_ino))
                else:
                    os.unlink(leftover, dir_fd=self._handle)
                    removed += 1
        except OSError as error:
            raise write_error(self._temporary, error) from error
        return removed

    def sync_folders(self) -> None:
        """Make the names in DIR and DIR/.batchgen durable. Raises StorageError."""
        try:
            self._folder.sync()
            self._folder.sync(PRIVATE)
        except OSError as error:
            raise write_error(self._folder.root, error) from error

    def sweep(self) -> None:
        """Remove all temporary files, after a run that has left nothing to do."""
        if self._handle is not None:
            for leftover in os.listdir(self._handle):
                with suppress(OSError):
                    os.unlink(leftover, dir_fd=self._handle)

    def close(self) -> None:
        """Wait for the file threads and remove the temporary names of confirmed artifacts."""
        self._publisher.close()
        self._unlink_confirmed()
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def open_sink(self) -> Spool:
        """Return a sink for the bytes of one payload."""
        path = f"{self._temporary}{self._token}-{next(self._numbers)}.part"
        return Spool(path, create=self._create, remove=self._unlink)

    def _open_temporary(self) -> None:
        with self._folder.open_folder(TEMPORARY, make=True) as handle:
            self._handle = os.dup(handle)

    def _create(self, path: str) -> int:
        """Return the handle of a new temporary file, whose folder may have been removed."""
        try:
            try:
                return os.open(
                    self._name(path), NEW, 0o666, dir_fd=self._handle
                )  # the umask applies
            except FileNotFoundError:
                self._open_temporary()
                return os.open(self._name(path), NEW, 0o666, dir_fd=self._handle)
        except OSError as error:
            error.filename = path
            raise

    def _name(self, path: str) -> str:
        """Return the name of a temporary file in its folder."""
        return path.removeprefix(self._temporary)

    def _unlink(self, path: str) -> None:
        os.unlink(self._name(path), dir_fd=self._handle)

    def discard(self, spooled: Spooled) -> None:
        """Remove a payload that will not be published."""
        if spooled.data is None:
            with suppress(OSError):
                self._unlink(spooled.path)

    async def publish(self, payload: Spooled | GeneratedPayload, filename: str, n: int) -> Artifact:
        """Store a payload as artifact number `n` of its task and return the artifact.

        filename: the path below the root, in which `{n}` and `{ext}` are still to be filled.

        The extension follows the bytes. An orphan at the path is replaced; if any other file is
        there, the artifact gets the next free name. Raises StorageError, and ValueError if the
        type of the bytes is not known.
        """
        return await self._publisher.submit(self._publication(payload, filename, n))

    def _publication(
        self, payload: Spooled | GeneratedPayload, filename: str, n: int
    ) -> "_Publication":
        spooled = self._spool(payload) if isinstance(payload, GeneratedPayload) else payload
        media = _media_of(payload)
        if media is None:
            raise ValueError(f"a payload of no known type was accepted: {spooled.head[:24]!r}")
        return _Publication(spooled, media, fill_filename(filename, n, media.extension))

    def _spool(self, payload: GeneratedPayload) -> Spooled:
        sink = self.open_sink()
        sink.write(payload.data)
        return sink.close()

    def confirm(self, paths: Iterable[str]) -> None:
        """Mark the artifacts at these paths as committed, so that temporary names are removed."""
        for path in paths:
            temporary = self._unconfirmed.pop(path, None)
            if temporary is not None:
                self._confirmed.append(temporary)

    def _publish(self, group: "Sequence[_Publication]") -> "Sequence[Artifact | BaseException]":
        for step in (self._write, _make_durable, self._place):
            for publication in group:
                publication.run(step)
        placed = [publication for publication in group if publication.error is None]
        for _, same_folder in groupby(sorted(placed, key=_folder_of), key=_folder_of):
            self._fsync_folder_of(list(same_folder))
        self._unlink_confirmed()
        return [
            publication.artifact() if publication.error is None else publication.error
            for publication in group
        ]

    def _write(self, publication: "_Publication") -> None:
        """Write all bytes to the temporary file, and start to flush them to the disk."""
        spooled = publication.spooled
        if spooled.data is None:
            publication.open(os.open(self._name(spooled.path), EXISTING, dir_fd=self._handle))
            return
        handle = self._create(spooled.path)
        try:
            publication.write(handle, spooled.data)
        except OSError:
            os.close(handle)
            self._unlink(spooled.path)  # on a full disk every block counts
            raise

    def _place(self, publication: "_Publication") -> None:
        """Link the file at its wanted path below the root, or at the next free one."""
        wanted = self._make_folder_of(publication.wanted)
        below, _, _ = wanted.rpartition("/")
        try:
            with self._folder.open_folder(below) as folder:
                for path in candidate_paths(wanted):
                    if self._place_at(publication.spooled.path, folder, path):
                        publication.path = path
                        return
        except OSError as error:
            error.filename, error.filename2 = f"{self._folder.root}/{wanted}", None
            raise

    def _place_at(self, temporary: str, folder: int, path: str) -> bool:
        """Link a temporary file at a path in the open folder; return False if that is taken."""
        target = encoded(path.rpartition("/")[2])
        if self._is_orphan(folder, target, path):
            os.unlink(target, dir_fd=folder)
        places = {"src_dir_fd": self._handle, "dst_dir_fd": folder}
        try:
            os.link(self._name(temporary), target, **places, follow_symlinks=False)
        except FileExistsError:
            return False
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if _exists(folder, target):
                return False
            os.rename(self._name(temporary), target, **places)
        self._unconfirmed[path] = temporary
        return True

    def _make_folder_of(self, wanted: str) -> str:
        """Make the folder of a path and return the path, without folders if a file blocks one.

        A symbolic link that came there during the run counts as such a file.
        """
        below, _, _ = wanted.rpartition("/")
        try:
            with self._folder.open_folder(below, make=True):
                return wanted
        except (FileExistsError, NotADirectoryError, UnsafePathError):
            return wanted.replace("/", "-")

    def _is_orphan(self, folder: int, name: bytes, path: str) -> bool:
        if not self._orphans:
            return False
        try:
            status = os.lstat(name, dir_fd=folder)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) in self._orphans and not self._is_taken(path)

    def _fsync_folder_of(self, publications: "Sequence[_Publication]") -> None:
        first, *others = publications
        first.run(lambda publication: self._folder.sync(_folder_of(publication)))
        for publication in others:
            publication.error = first.error

    def _unlink_confirmed(self) -> None:
        while self._confirmed:
            with suppress(IndexError, FileNotFoundError):  # another thread took the last one
                self._unlink(self._confirmed.popleft())


class _Publication(msgspec.Struct):
    """A payload that is being published.

    wanted, path: below the root; where it should be, and where it is. handle: of the open file.
    error: why a step failed; no further step is run.
    """

    spooled: Spooled
    media: MediaType
    wanted: str
    handle: int = -1
    sha256: str = ""
    size: Size | None = None
    path: str = ""
    error: BaseException | None = None

    def run(self, step: "Callable[[_Publication], None]") -> None:
        """Run a step unless an earlier one failed, and keep its error for this payload's caller."""
        if self.error is not None:
            return
        try:
            step(self)
        except OSError as error:
            self.error = write_error(self.spooled.path, error)
        except BaseException as error:  # noqa: BLE001  # the rest of the group continues
            self.error = error

    def open(self, handle: int) -> None:
        """Measure the open file of a payload that was hashed while it arrived."""
        self.handle = handle
        self.sha256 = self.spooled.sha256
        with open(handle, "rb", closefd=False) as file:
            self.size = dimensions(file, self.media)

    def write(self, handle: int, data: bytes) -> None:
        """Write a payload to its open file, and start to flush it to the disk."""
        _write_all(handle, data)
        if _HAS_FADVISE:  # Linux starts to write: the first fsync of the group waits for all files
            os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        self.handle = handle
        self.sha256 = hashlib.sha256(data).hexdigest()
        self.size = dimensions(io.BytesIO(data), self.media)

    def artifact(self) -> Artifact:
        width, height = self.size or (None, None)
        return Artifact(
            self.path, self.spooled.size_bytes, self.sha256, self.media.mime, width, height
        )


def _folder_of(publication: _Publication) -> str:
    return publication.path.rpartition("/")[0]


def _exists(folder: int, name: bytes) -> bool:
    try:
        os.lstat(name, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _make_durable(publication: _Publication) -> None:
    try:
        os.fsync(publication.handle)
    finally:
        os.close(publication.handle)


def _media_of(payload: Spooled | GeneratedPayload) -> MediaType | None:
    if isinstance(payload, GeneratedPayload):
        return generated_type(payload.data[:HEAD_BYTES], payload.media_type)
    return received_type(payload.head, payload.media_type)


def candidate_paths(path: str) -> Iterator[str]:
    """Yield paths for an artifact to try in turn: `a.png`, `a~2.png`, `a~3.png`, without end."""
    stem, dot, extension = path.rpartition(".")
    yield path
    for number in count(2):
        yield f"{stem}~{number}{dot}{extension}"


def fill_filename(filename: str, n: int, extension: str) -> str:
    """Replace `{n}` and `{ext}`, which are known only when the payload is."""
    return filename.replace("{n}", str(n)).replace("{ext}", extension)
