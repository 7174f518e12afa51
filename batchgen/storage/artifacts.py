"""Puts bytes at a path, atomically: the local store.

A payload waits in memory or in a temporary file in DIR/.batchgen/tmp (`spool.py`). Publishing is
fsync of the temporary file, a hard link at its path, fsync of the folder (and of those that a new
folder was made in); only then does it count as stored. What waits to be published goes through
these steps together, so that many share the fsync of their folder. The temporary name goes when
the ledger has the outcome. So a crash before the link leaves a temporary file, swept when the
next run starts; after it, a file with two names: an orphan, which whoever wants that path next
takes over. A file that stands at the path and is no orphan is somebody else's and is never
touched.
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

_NO_LINKS = frozenset({errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK})
_FILE_THREADS = 4  # fsync waits on the disk: more than cores pays
_MOST_AT_ONCE = 32
_CAN_ADVISE = hasattr(os, "posix_fadvise")
_CREATE = os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC


class LocalStore:
    """Artifacts below `root`; temporary files in `root/.batchgen/tmp`.

    is_taken: returns whether the ledger has an artifact of another task or generation at a path.
    """

    def __init__(self, root: Path, *, is_taken: Callable[[str], bool]) -> None:
        self._root = root
        self._temporary = root / ".batchgen" / "tmp"
        self._is_taken = is_taken
        self._token = secrets.token_hex(4)  # names apart from those that earlier runs left
        self._numbers = count(1)
        self._orphans: set[tuple[int, int]] = set()  # device and number of files
        self._unsettled: dict[str, str] = {}
        self._settled: deque[str] = deque()
        self._publishing = GroupCommit(
            self._publish, name="store", threads=_FILE_THREADS, most=_MOST_AT_ONCE
        )

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
            raise write_error(self._temporary, error) from error
        return swept

    def sweep(self) -> None:
        """Remove all temporary files, once a run has left nothing undone."""
        for leftover in self._temporary.iterdir():
            with suppress(OSError):
                leftover.unlink()

    def close(self) -> None:
        """Wait for the file threads; what is settled has no second name then."""
        self._publishing.close()
        self._unlink_settled()

    def open_sink(self) -> Spool:
        """What takes the bytes of a payload while they arrive."""
        return Spool(f"{self._temporary}/{self._token}-{next(self._numbers)}.part")

    def discard(self, spooled: Spooled) -> None:
        """Remove a payload that will not be published."""
        if spooled.data is None:
            with suppress(OSError):
                os.unlink(spooled.path)

    async def publish(self, payload: Spooled | GeneratedPayload, filename: str, n: int) -> Artifact:
        """Store a payload as number `n` of its task at `filename` (with `{n}` and `{ext}` open).

        The extension follows the bytes. An orphan at the path is taken over; any other file is
        left alone and the artifact gets the next free name. Raises StorageError; bytes of no known
        type are a ValueError.
        """
        return await self._publishing.result_of(self._publication(payload, filename, n))

    def _publication(
        self, payload: Spooled | GeneratedPayload, filename: str, n: int
    ) -> "_Publication":
        spooled = self._taken(payload) if isinstance(payload, GeneratedPayload) else payload
        media = _media_of(payload)
        if media is None:
            raise ValueError(f"a payload of no known type was accepted: {spooled.head[:24]!r}")
        return _Publication(spooled, media, open_filename(filename, n, media.extension))

    def _taken(self, payload: GeneratedPayload) -> Spooled:
        sink = self.open_sink()
        sink.write(payload.data)
        return sink.close()

    def settle(self, paths: Iterable[str]) -> None:
        """The ledger has the artifacts at these paths: their temporary names may go."""
        for path in paths:
            temporary = self._unsettled.pop(path, None)
            if temporary is not None:
                self._settled.append(temporary)

    def _publish(self, group: "Sequence[_Publication]") -> "Sequence[Artifact | BaseException]":
        for step in (_write, _make_durable, self._place):
            for one in group:
                one.take(step)
        placed = [one for one in group if one.error is None]
        for _, inside in groupby(sorted(placed, key=_folder_of), key=_folder_of):
            self._fsync_folder_of(list(inside))
        self._unlink_settled()
        return [one.artifact() if one.error is None else one.error for one in group]

    def _place(self, one: "_Publication") -> None:
        """Give a file its name below the root: the wanted one, or the next that is free."""
        for path in free_names(self._with_folder(one.wanted)):
            target = f"{self._root}/{path}"
            if self._is_orphan(target, path):
                os.unlink(target)
            try:
                os.link(one.spooled.path, target)
            except FileExistsError:
                continue
            except OSError as error:
                if error.errno not in _NO_LINKS:
                    raise
                if os.path.lexists(target):
                    continue
                os.rename(one.spooled.path, target)
            self._unsettled[path] = one.spooled.path
            one.path = path
            return

    def _with_folder(self, wanted: str) -> str:
        """Make the folder of a path; where a file is in its way, the path without folders."""
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
            found = os.lstat(target)
        except FileNotFoundError:
            return False
        return (found.st_dev, found.st_ino) in self._orphans and not self._is_taken(path)

    def _fsync_folder_of(self, together: "Sequence[_Publication]") -> None:
        first, *others = together
        first.take(lambda one: fsync_folder((self._root / one.path).parent))
        for one in others:
            one.error = first.error

    def _unlink_settled(self) -> None:
        while self._settled:
            with suppress(IndexError, FileNotFoundError):  # another thread has taken the last one
                os.unlink(self._settled.popleft())


class _Publication(msgspec.Struct):
    """A payload on its way to its path below the root; error: what ended it."""

    spooled: Spooled
    media: MediaType
    wanted: str
    handle: int = -1
    sha256: str = ""
    size: Size | None = None
    path: str = ""
    error: BaseException | None = None

    def take(self, step: "Callable[[_Publication], None]") -> None:
        """Take a step unless an earlier one failed; its error is for its own caller."""
        if self.error is not None:
            return
        try:
            step(self)
        except OSError as error:
            self.error = write_error(self.spooled.path, error)
        except BaseException as error:  # noqa: BLE001  # others of the group go on
            self.error = error

    def artifact(self) -> Artifact:
        width, height = self.size or (None, None)
        return Artifact(
            self.path, self.spooled.size_bytes, self.sha256, self.media.mime, width, height
        )


def _folder_of(one: _Publication) -> str:
    return one.path.rpartition("/")[0]


def _write(one: _Publication) -> None:
    """Have all bytes in the temporary file, on their way to the disk."""
    spooled = one.spooled
    if spooled.data is None:
        one.handle = os.open(spooled.path, os.O_RDONLY | os.O_CLOEXEC)
        one.sha256 = spooled.sha256
        with open(one.handle, "rb", closefd=False) as file:
            one.size = dimensions(file, one.media)
        return
    one.handle = os.open(spooled.path, _CREATE, 0o666)  # less what the umask takes away
    try:
        _write_all(one.handle, spooled.data)
        if _CAN_ADVISE:  # Linux begins to write then: the group's first fsync waits for all of it
            os.posix_fadvise(one.handle, 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        os.close(one.handle)
        os.unlink(spooled.path)  # on a full disk every block counts
        raise
    one.sha256 = hashlib.sha256(spooled.data).hexdigest()
    one.size = dimensions(io.BytesIO(spooled.data), one.media)


def _write_all(handle: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(handle, view) :]


def _make_durable(one: _Publication) -> None:
    try:
        os.fsync(one.handle)
    finally:
        os.close(one.handle)


def _media_of(payload: Spooled | GeneratedPayload) -> MediaType | None:
    if isinstance(payload, GeneratedPayload):
        return generated_type(payload.data[:HEAD_BYTES], payload.media_type)
    return received_type(payload.head, payload.media_type)


def free_names(path: str) -> Iterator[str]:
    """Return names for an artifact to try in turn: `a.png`, `a~2.png`, `a~3.png`, without end."""
    stem, dot, extension = path.rpartition(".")
    yield path
    for number in count(2):
        yield f"{stem}~{number}{dot}{extension}"


def open_filename(filename: str, n: int, extension: str) -> str:
    """Fill the two places that are open until the bytes are known."""
    return filename.replace("{n}", str(n)).replace("{ext}", extension)


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


def write_atomically(
    path: Path, data: bytes | Iterable[bytes], temporary: Path | None = None
) -> None:
    """Replace a file: a crash leaves the old one or the new one, and perhaps the temporary file.

    data: the content, or its parts in order. temporary: a path on the same file system;
    `.batchgen/NAME.part` beside the file unless given. Raises StorageError.
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
