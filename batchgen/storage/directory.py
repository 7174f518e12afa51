"""An output directory: the path of its ledger, and its lock.

The lock is on the directory itself, which has no second name: to remove or replace a file does not
release it. The file DIR/.batchgen/lock is locked too, for version 0.1, which locks only that, and
for network file systems that cannot lock a directory.
"""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from batchgen.errors import LockedError, StorageError, remedy
from batchgen.storage.files import PRIVATE, Folder, make_folder
from batchgen.storage.ledger import Ledger

_LOCK = f"{PRIVATE}/lock"
# The file system has no locks, or none on a directory: NFS locks only what is open to be written.
_NO_LOCKS = frozenset(
    {errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EBADF, errno.EINVAL}
)
_EXCLUSIVE = fcntl.LOCK_EX | fcntl.LOCK_NB
_SHARED = fcntl.LOCK_SH | fcntl.LOCK_NB
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


def ledger_path(directory: Path) -> Path:
    """Return the path of the ledger of an output directory."""
    return directory / PRIVATE / "ledger.sqlite3"


@contextmanager
def locked(directory: Path, warn: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Lock an output directory, which is made if it is missing, until the context ends.

    warn: is called with a message if the file system has no locks; nothing is locked then.
    Raises LockedError if another process has locked it, and StorageError.
    """
    _make_directory(directory)
    with ExitStack() as stack:
        try:
            by_folder = _lock_folder(stack, directory)
            by_file = _lock_file(stack, directory)
        except BlockingIOError as error:
            raise LockedError(
                f"another run is using {directory}{_describe_run(directory)}: wait until it ends,"
                " or choose another output directory"
            ) from error
        except OSError as error:
            raise StorageError(
                f"cannot lock {directory} ({error.strerror or error}): {remedy(error)}, or choose"
                " another output directory"
            ) from error
        if not (by_folder or by_file):
            warn(
                f"{directory} is on a file system without locks: make sure that no other run uses"
                " it at the same time"
            )
        yield


def is_locked(directory: Path) -> bool:
    """Return whether a process has locked the output directory.

    False if the file system has no locks. Raises StorageError if the directory cannot be read.
    """
    try:
        with ExitStack() as stack:
            handle = _open(stack, directory)
            _flock(handle, _SHARED)
            with suppress(FileNotFoundError):
                file = stack.enter_context(Folder(directory).open_to_read(_LOCK))
                _flock(file.fileno(), _SHARED)
    except BlockingIOError:
        return True
    except OSError as error:
        raise StorageError(f"cannot read {directory} ({error.strerror or error})") from error
    return False


def _lock_folder(stack: ExitStack, directory: Path) -> bool:
    """Lock the directory; return False if its file system cannot do that. Raises OSError."""
    while True:
        handle = _open(stack, directory)
        if not _flock(handle, _EXCLUSIVE):
            return False
        if os.path.samestat(os.fstat(handle), os.stat(directory)):
            return True  # else another directory has taken its place meanwhile


def _lock_file(stack: ExitStack, directory: Path) -> bool:
    """Lock DIR/.batchgen/lock; return False if its file system has no locks. Raises OSError."""
    folder = Folder(directory)
    with folder.open_folder(PRIVATE, make=True):
        pass
    while True:
        file = stack.enter_context(folder.open_to_append(_LOCK))
        if not _flock(file.fileno(), _EXCLUSIVE):
            return False
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), folder.status(_LOCK)):
                return True  # else another file has taken its place meanwhile


def _open(stack: ExitStack, directory: Path) -> int:
    handle = os.open(directory, _FOLDER)
    stack.callback(os.close, handle)
    return handle


def _flock(handle: int, operation: int) -> bool:
    """Take a lock; return False if the file system has none. Raises BlockingIOError and OSError."""
    try:
        fcntl.flock(handle, operation)
    except OSError as error:
        if error.errno in _NO_LOCKS:
            return False
        raise
    return True


def _make_directory(directory: Path) -> None:
    try:
        make_folder(directory)
    except OSError as error:
        raise StorageError(
            f"cannot create the output directory {directory} ({error.strerror or error}):"
            f" {remedy(error)}, or choose another with -o"
        ) from error


def _describe_run(directory: Path) -> str:
    with suppress(StorageError):  # a damaged ledger cannot name the run
        with Ledger(ledger_path(directory), create=False) as ledger:
            run = ledger.last_run()
        return f" (process {run.pid}, since {run.started_at:%Y-%m-%d %H:%M:%S} UTC)" if run else ""
    return ""
