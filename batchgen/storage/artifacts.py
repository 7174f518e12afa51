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
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import count, groupby
from pathlib import Path

import msgspec

from batchgen.errors import StorageError, write_error
from batchgen.media.formats import MediaType, Size, dimensions, generated_type, received_type
from batchgen.storage.group_commit import GroupCommit
from batchgen.storage.spool import HEAD_BYTES, Spool
from batchgen.types import Artifact, GeneratedPayload, Spooled

# Hard links are not supported here.
_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_FILE_THREADS = 4  # more than cores: fsync waits for the disk
_MAX_GROUP = 32  # payloads that are published together
_HAS_FADVISE = hasattr(os, "posix_fadvise")
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


class LocalStore:
    """Artifacts below `root`; temporary files in `root/.batchgen/tmp`.

    is_taken: returns whether the ledger has an artifact at this path.
    """

    def __init__(self, root: Path, *, is_taken: Callable[[str], bool]) -> None:
        self._root = root
        self._temporary = root / ".batchgen" / "tmp"
        self._is_taken = is_taken
        self._token = secrets.token_hex(4)  # so that names differ from leftovers of earlier runs
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
        try:
            self._temporary.mkdir(parents=True, exist_ok=True)
            if self._temporary.is_symlink():
                raise StorageError(f"{self._temporary} is a symbolic link: remove the link")
            removed = 0
            for leftover in self._temporary.iterdir():
                status = leftover.lstat()
                if status.st_nlink > 1:
                    self._orphans.add((status.st_dev, status.st_ino))
                else:
                    leftover.unlink()
                    removed += 1
        except OSError as error:
            raise write_error(self._temporary, error) from error
        return removed

    def sweep(self) -> None:
        """Remove all temporary files, after a run that has left nothing to do."""
        for leftover in self._temporary.iterdir():
            with suppress(OSError):
                leftover.unlink()

    def close(self) -> None:
        """Wait for the file threads and remove the temporary names of confirmed artifacts."""
        self._publisher.close()
        self._unlink_confirmed()

    def open_sink(self) -> Spool:
        """Return a sink for the bytes of one payload."""
        return Spool(f"{self._temporary}/{self._token}-{next(self._numbers)}.part")

    def discard(self, spooled: Spooled) -> None:
        """Remove a payload that will not be published."""
        if spooled.data is None:
            with suppress(OSError):
                os.unlink(spooled.path)

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
        for step in (_write, _make_durable, self._place):
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

    def _place(self, publication: "_Publication") -> None:
        """Link the file at its wanted path below the root, or at the next free one."""
        for path in candidate_paths(self._make_folder_of(publication.wanted)):
            target = f"{self._root}/{path}"
            if self._is_orphan(target, path):
                os.unlink(target)
            try:
                os.link(publication.spooled.path, target)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if os.path.lexists(target):
                    continue
                os.rename(publication.spooled.path, target)
            self._unconfirmed[path] = publication.spooled.path
            publication.path = path
            return

    def _make_folder_of(self, wanted: str) -> str:
        """Make the folder of a path and return the path, without folders if a file blocks one."""
        if "/" not in wanted:
            return wanted
        try:
            make_folder((self._root / wanted).parent)
        except (FileExistsError, NotADirectoryError):
            return wanted.replace("/", "-")
        return wanted

    def _is_orphan(self, target: str, path: str) -> bool:
        if not self._orphans:
            return False
        try:
            status = os.lstat(target)
        except FileNotFoundError:
            return False
        return (status.st_dev, status.st_ino) in self._orphans and not self._is_taken(path)

    def _fsync_folder_of(self, publications: "Sequence[_Publication]") -> None:
        first, *others = publications
        first.run(lambda publication: fsync_folder((self._root / publication.path).parent))
        for publication in others:
            publication.error = first.error

    def _unlink_confirmed(self) -> None:
        while self._confirmed:
            with suppress(IndexError, FileNotFoundError):  # another thread took the last one
                os.unlink(self._confirmed.popleft())


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

    def artifact(self) -> Artifact:
        width, height = self.size or (None, None)
        return Artifact(
            self.path, self.spooled.size_bytes, self.sha256, self.media.mime, width, height
        )


def _folder_of(publication: _Publication) -> str:
    return publication.path.rpartition("/")[0]


def _write(publication: _Publication) -> None:
    """Write all bytes to the temporary file, and start to flush them to the disk."""
    spooled = publication.spooled
    if spooled.data is None:
        publication.handle = os.open(spooled.path, os.O_RDONLY | os.O_CLOEXEC)
        publication.sha256 = spooled.sha256
        with open(publication.handle, "rb", closefd=False) as file:
            publication.size = dimensions(file, publication.media)
        return
    publication.handle = os.open(spooled.path, _CREATE, 0o666)  # the umask applies
    try:
        _write_all(publication.handle, spooled.data)
        if _HAS_FADVISE:  # Linux starts to write: the first fsync of the group waits for all files
            os.posix_fadvise(publication.handle, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        os.close(publication.handle)
        os.unlink(spooled.path)  # on a full disk every block counts
        raise
    publication.sha256 = hashlib.sha256(spooled.data).hexdigest()
    publication.size = dimensions(io.BytesIO(spooled.data), publication.media)


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


def make_folder(folder: Path) -> None:
    """Make a folder and its parents durably. Raises OSError."""
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


def write_atomically(
    path: Path, data: bytes | Iterable[bytes], temporary: Path | None = None
) -> None:
    """Replace a file; a crash leaves the old or the new one, and perhaps the temporary file.

    data: the content, or its parts in order.
    temporary: a path on the same file system; default: `.batchgen/NAME.part` beside the file.
    Raises StorageError.
    """
    temporary = temporary or path.parent / ".batchgen" / f"{path.name}.part"
    try:
        with temporary.open("wb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):  # on a full disk every block counts
            temporary.unlink()
        raise write_error(path, error) from error
