"""The files below an output directory: nothing is written, renamed or removed through a link.

Every command opens, links, renames and removes files below DIR with a `Folder`. It walks to a file
one folder at a time, relative to the handle of the folder above, and refuses a symbolic link at any
step. DIR itself may be reached by one. Temporary files are new, under names that cannot be
foreseen, and what is not a regular file (a FIFO, a socket, a device) is never opened.
"""

import errno
import hashlib
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchgen.errors import StorageError, remedy

PRIVATE = ".batchgen"
DATABASE_SUFFIXES = ("", "-wal", "-shm", "-journal")  # of the files of an SQLite database
TEMPORARY = f"{PRIVATE}/tmp"  # noqa: S108  # below the output directory
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
EXISTING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO is not waited for


class UnsafePathError(StorageError):
    """A path below an output directory is, or leads through, something that is never written."""


class Folder(msgspec.Struct, frozen=True):
    """An output directory. Paths are relative to it, with `/` between folders.

    Every method raises OSError with the full path, and UnsafePathError for a path that leaves the
    directory or leads through a symbolic link.
    """

    root: Path

    @contextmanager
    def open_folder(self, below: str = "", *, make: bool = False) -> Iterator[int]:
        """Yield a handle of a folder. make: create missing ones, durably."""
        handle = os.open(self.root, _FOLDER)
        try:
            for part in below.split("/") if below else ():
                following = self._enter(handle, part, below, make=make)
                os.close(handle)
                handle = following
            yield handle
        finally:
            os.close(handle)

    def create(self, path: str, *, make: bool = False) -> int:
        """Return a handle of a new file, to write. make: create missing folders."""
        with self._at(path, make=make) as (folder, name):
            return os.open(name, NEW, 0o666, dir_fd=folder)  # the umask applies

    def open_to_read(self, path: str) -> BufferedReader:
        """Open a regular file."""
        with self._at(path) as (folder, name):
            handle = self._open_regular(folder, name, path, os.O_RDONLY)
            return open(handle, "rb")

    def open_to_append(self, path: str) -> BinaryIO:
        """Open a file to read it and to add to its end, unbuffered; create it if it is missing.

        A file that has other names is replaced by a copy first: they may be outside.
        """
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT
        with self._at(path) as (folder, name):
            handle = self._open_regular(folder, name, path, flags)
            if os.fstat(handle).st_nlink > 1:
                with open(handle, "rb") as file:
                    self.replace(path, iter(lambda: file.read(1 << 20), b""))
                handle = self._open_regular(folder, name, path, flags)
        return open(handle, "ab+", buffering=0)

    def status(self, path: str) -> os.stat_result:
        """Return the status of what is at a path, which may be a link itself."""
        with self._at(path) as (folder, name):
            return os.lstat(name, dir_fd=folder) if name else os.fstat(folder)

    def is_file(self, path: str) -> bool:
        """Return whether a regular file is at a path."""
        try:
            return stat.S_ISREG(self.status(path).st_mode)
        except (OSError, StorageError):
            return False

    def exists(self, path: str) -> bool:
        """Return whether anything is at a path."""
        try:
            self.status(path)
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def link(self, source: Path, path: str) -> None:
        """Give a file of any folder a second name, which must not exist; make missing folders."""
        with self._at(path, make=True) as (folder, name):
            os.link(source, name, dst_dir_fd=folder, follow_symlinks=False)

    def rename(self, source: str, target: str, *, make: bool = False) -> None:
        """Rename a file; what is at `target` is replaced. make: create missing folders."""
        with self._at(source) as (old, old_name), self._at(target, make=make) as (new, new_name):
            os.rename(old_name, new_name, src_dir_fd=old, dst_dir_fd=new)

    def remove(self, path: str) -> None:
        """Remove a file, or a link itself."""
        with self._at(path) as (folder, name):
            os.unlink(name, dir_fd=folder)

    def sync(self, below: str = "") -> None:
        """Make the names in a folder durable."""
        with self.open_folder(below) as handle:
            os.fsync(handle)

    def sha256_of(self, path: str) -> str:
        """Return the SHA-256 of a regular file in hex."""
        with self.open_to_read(path) as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def replace(self, path: str, data: bytes | Iterable[bytes]) -> None:
        """Replace a file; a crash leaves the old or the new one, and perhaps a temporary file.

        data: the content, or its parts in order. Missing folders are created.
        """
        temporary = f"{TEMPORARY}/{secrets.token_hex(16)}.part"
        try:
            with open(self.create(temporary, make=True), "wb") as file:
                file.writelines((data,) if isinstance(data, bytes) else data)
                file.flush()
                os.fsync(file.fileno())
            self.rename(temporary, path, make=True)
        except BaseException:
            with suppress(OSError, StorageError):  # on a full disk every block counts
                self.remove(temporary)
            raise

    def check_folders(self, path: str) -> None:
        """Raise UnsafePathError if a folder of a path that exists is a link."""
        with suppress(FileNotFoundError, NotADirectoryError), self._at(path):
            pass

    @contextmanager
    def _at(self, path: str, *, make: bool = False) -> Iterator[tuple[int, bytes]]:
        """Yield a handle of the folder of a path, and the path's last part."""
        below, _, name = path.rpartition("/")
        if name in ("", ".", "..") or "\0" in name:
            raise self.unsafe(path, "is not the path of a file in the output directory")
        try:
            with self.open_folder(below, make=make) as handle:
                yield handle, encoded(name)
        except OSError as error:
            error.filename, error.filename2 = str(self.root / path), None
            raise

    def _enter(self, folder: int, part: str, below: str, *, make: bool) -> int:
        if part in ("", ".", "..") or "\0" in part:
            raise self.unsafe(below, "leaves the output directory")
        name = encoded(part)
        try:
            return os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        except FileNotFoundError:
            if not make:
                raise
        except OSError:
            if stat.S_ISLNK(os.lstat(name, dir_fd=folder).st_mode):
                raise self.unsafe(below, "is, or leads through, a symbolic link") from None
            raise
        with suppress(FileExistsError):  # another thread has made it
            os.mkdir(name, dir_fd=folder)
        os.fsync(folder)
        handle = os.open(name, _FOLDER | os.O_NOFOLLOW, dir_fd=folder)
        os.fsync(handle)
        return handle

    def _open_regular(self, folder: int, name: bytes, path: str, flags: int) -> int:
        try:
            handle = os.open(name, flags | EXISTING, 0o666, dir_fd=folder)
        except OSError:
            with suppress(FileNotFoundError):
                status = os.lstat(name, dir_fd=folder)
                if not (stat.S_ISREG(status.st_mode) or stat.S_ISDIR(status.st_mode)):
                    raise self.unsafe(path, _KINDS[stat.S_IFMT(status.st_mode)]) from None
            raise
        kind = stat.S_IFMT(os.fstat(handle).st_mode)
        if kind != stat.S_IFREG:
            os.close(handle)
            if kind == stat.S_IFDIR:
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            raise self.unsafe(path, _KINDS[kind])
        return handle

    def unsafe(self, path: str, what: str) -> UnsafePathError:
        """Return the error for a path that is not used. what: a phrase that follows it."""
        return UnsafePathError(
            f"{self.root / path} {what}: move it away, then run the same command again"
        )


_KINDS = {
    stat.S_IFLNK: "is a symbolic link",
    stat.S_IFIFO: "is a FIFO",
    stat.S_IFSOCK: "is a socket",
    stat.S_IFCHR: "is a device",
    stat.S_IFBLK: "is a device",
}


def stays_inside(path: str) -> bool:
    """Return whether a path is below the output directory and outside of DIR/.batchgen."""
    parts = path.split("/")
    return parts[0] != ".batchgen" and not any(
        part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts
    )


def resolves_inside(directory: Path, path: str) -> bool:
    """Return whether a path of a ledger is below the output directory, also with links resolved."""
    root = os.path.realpath(directory)
    return stays_inside(path) and real_path(directory, path).is_relative_to(root)


def real_path(directory: Path, path: str) -> Path:
    """Return a path of a ledger with links resolved, in any locale."""
    joined = os.path.join(os.fsencode(directory), encoded(path))
    return Path(os.fsdecode(os.path.realpath(joined)))


def check_database(path: Path) -> None:
    """Raise UnsafePathError if a file of the SQLite database at `path` is not an ordinary file.

    SQLite follows links, and damages a database that has two names (sqlite.org/howtocorrupt.html).
    """
    folder = Folder(path.parent.parent)
    for suffix in DATABASE_SUFFIXES:
        below = f"{path.parent.name}/{path.name}{suffix}"
        try:
            status = folder.status(below)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise StorageError(
                f"cannot access {path}{suffix} ({error.strerror or error}): {remedy(error)}"
            ) from error
        kind = stat.S_IFMT(status.st_mode)
        if kind == stat.S_IFDIR:
            continue  # SQLite refuses it
        if kind != stat.S_IFREG:
            raise folder.unsafe(below, _KINDS[kind])
        if status.st_nlink > 1:
            raise UnsafePathError(
                f"{path}{suffix} has another name (a hard link), and both would change: replace it"
                " by a copy of its own, then run the same command again"
            )


def encoded(name: str) -> bytes:
    """Return the bytes of a file name: always UTF-8, so that any locale finds the same file.

    Bytes that are not UTF-8, which Python has as surrogates, are kept.
    """
    try:
        return name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as error:
        raise UnsafePathError(f"{name!r} is not the name of a file") from error


def create_new(path: str) -> int:
    """Return a handle of a new file, to write; a link at the path is an error. Raises OSError."""
    return os.open(path, NEW, 0o666)  # the umask applies


def make_folder(folder: Path) -> None:
    """Make an output directory and the folders above it durably. Raises OSError."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    folder.mkdir(exist_ok=True)
    for changed in (folder.parent, folder):
        handle = os.open(changed, _FOLDER)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


@contextmanager
def open_target(target: Path, directory: Path) -> Iterator[BinaryIO]:
    """Yield a file to write, at a path that the user has named.

    Below the output directory it is a new file, which takes its name at the end. Anywhere else the
    path may be a link, a pipe or a device. Raises OSError and UnsafePathError.
    """
    path = _path_below(target, directory)
    if path is None:
        with target.open("wb") as file:
            yield file
        return
    folder = Folder(directory)
    temporary = f"{TEMPORARY}/{secrets.token_hex(16)}.part"
    try:
        with open(folder.create(temporary, make=True), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        folder.rename(temporary, path)
    except BaseException:
        with suppress(OSError, StorageError):
            folder.remove(temporary)
        raise


def _path_below(target: Path, directory: Path) -> str | None:
    """Return the path below the output directory, None if it is elsewhere."""
    real = Path(os.path.realpath(target.parent), target.name)
    names = (os.path.abspath(target), os.path.abspath(directory)), (real, directory.resolve())
    for path, root in names:
        if Path(path).is_relative_to(root):
            return Path(path).relative_to(root).as_posix()
    return None
