"""An output directory: the path of its ledger, and its lock."""

import errno
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import filelock

from batchgen.errors import LockedError, StorageError, remedy
from batchgen.storage.ledger import Ledger

PRIVATE = ".batchgen"
_NO_LOCKS = frozenset({errno.ENOSYS, errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP})


def ledger_path(directory: Path) -> Path:
    """Return the path of the ledger of an output directory."""
    return directory / PRIVATE / "ledger.sqlite3"


@contextmanager
def locked(directory: Path, warn: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Lock an output directory, which is made if it is missing, until the context ends.

    warn: is called with a message if the file system has no locks; nothing is locked then.
    Raises LockedError if another process has locked it, and StorageError.
    """
    private = _make_private_folder(directory)
    lock = filelock.FileLock(private / "lock", timeout=0)
    try:
        if not _acquire(lock):
            warn(
                f"{directory} is on a file system without locks: make sure that no other run uses"
                " it at the same time"
            )
    except filelock.Timeout as error:
        raise LockedError(
            f"another run is using {directory}{_describe_run(directory)}: wait until it ends, or"
            " choose another output directory"
        ) from error
    except OSError as error:
        raise StorageError(
            f"cannot lock {directory} ({error.strerror or error}): {remedy(error)}, or choose"
            " another output directory"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_locked(directory: Path) -> bool:
    """Return whether a process has locked the output directory.

    False if the file system has no locks. Raises StorageError if the lock cannot be read.
    """
    lock = filelock.FileLock(directory / PRIVATE / "lock", timeout=0)
    try:
        _acquire(lock)
    except filelock.Timeout:
        return True
    except OSError as error:
        if error.errno == errno.EROFS:
            return _is_locked_read_only(directory / PRIVATE / "lock")
        raise StorageError(f"cannot read {directory} ({error.strerror or error})") from error
    lock.release()
    return False


def _is_locked_read_only(path: Path) -> bool:
    """Return whether a run has locked a file that this process sees through a read-only mount."""
    import fcntl  # noqa: PLC0415  # Windows has neither it nor read-only mounts of this kind

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _acquire(lock: filelock.BaseFileLock) -> bool:
    """Take the lock; return False if the file system has no locks. Raises Timeout and OSError.

    Without locks, some versions of filelock warn and use the existence of a file as the lock. Such
    a file would outlive a killed process, so the warning is made an error.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            lock.acquire()
        except (NotImplementedError, UserWarning):
            return False
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return False
            raise
    return True


def _make_private_folder(directory: Path) -> Path:
    private = directory / PRIVATE
    try:
        private.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot create the output directory {directory} ({error.strerror or error}):"
            f" {remedy(error)}, or choose another with -o"
        ) from error
    return private


def _describe_run(directory: Path) -> str:
    with suppress(StorageError):  # a damaged ledger cannot name the run
        with Ledger(ledger_path(directory), create=False) as ledger:
            run = ledger.last_run()
        return f" (process {run.pid}, since {run.started_at:%Y-%m-%d %H:%M:%S} UTC)" if run else ""
    return ""
