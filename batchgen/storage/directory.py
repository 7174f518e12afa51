"""An output directory: where its ledger is, and who holds it."""

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
    """Where the ledger of an output directory is."""
    return directory / PRIVATE / "ledger.sqlite3"


@contextmanager
def locked(directory: Path, tell: Callable[[str], None] = lambda _: None) -> Iterator[None]:
    """Hold the output directory, or raise LockedError that names the process that does.

    tell: hears that the file system has no locks; the run goes on without one.
    """
    private = _private(directory)
    lock = filelock.FileLock(private / "lock", timeout=0)
    try:
        if not _acquired(lock):
            tell(
                f"{directory} is on a file system without locks: make sure that no other run uses"
                " it at the same time"
            )
    except filelock.Timeout as error:
        raise LockedError(
            f"another run holds {directory}{_holder(directory)}: wait for it, or choose another"
            " output directory"
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
    """Whether a run holds the output directory now; never where the file system has no locks."""
    lock = filelock.FileLock(directory / PRIVATE / "lock", timeout=0)
    try:
        _acquired(lock)
    except filelock.Timeout:
        return True
    except OSError as error:
        if error.errno == errno.EROFS:
            return _is_locked_read_only(directory / PRIVATE / "lock")
        raise StorageError(f"cannot read {directory} ({error.strerror or error})") from error
    lock.release()
    return False


def _is_locked_read_only(path: Path) -> bool:
    """Whether somebody holds a lock on a file that may only be read here: a run beyond a mount."""
    import fcntl  # noqa: PLC0415  # Windows has none, nor read-only file systems of this kind

    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def _acquired(lock: filelock.BaseFileLock) -> bool:
    """Take the lock; False where the file system knows none. Raises Timeout and OSError.

    Some versions of filelock warn there and make a file whose existence is the lock: it would
    outlive a killed process, so the warning is made an error.
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


def _private(directory: Path) -> Path:
    private = directory / PRIVATE
    try:
        private.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot make the output directory {directory} ({error.strerror or error}):"
            f" {remedy(error)}, or choose another with -o"
        ) from error
    return private


def _holder(directory: Path) -> str:
    with suppress(StorageError):  # who holds a directory whose ledger is damaged is not known
        with Ledger(ledger_path(directory), create=False) as ledger:
            run = ledger.last_run()
        return f" (process {run.pid}, since {run.started_at:%Y-%m-%d %H:%M:%S} UTC)" if run else ""
    return ""
