"""Connections to the ledger file, and the context manager that holds one open."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from batchgen.errors import StorageError, remedy
from batchgen.storage.ledger.schema import is_current, migrate, refuse_other

_LEAST_BYTES = 512
_FILES = 4  # that SQLite opens at a time: the ledger, the two beside it, their folder
_PRIMARY = 0xFF  # extended codes hold more: https://sqlite.org/rescode.html
_DAMAGED = "put it back from a copy, or have {rebuild} make a new one"
_FREE_SPACE = "free space, then run the same command again to go on"
_REMEDIES = {
    sqlite3.SQLITE_FULL: _FREE_SPACE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_ANY_REMEDY = (
    "check the disk and the permissions; if the file is damaged, {rebuild} makes a new one"
)


class LedgerFile:
    """A ledger file that is open until the context ends; SQLite's errors become StorageError.

    path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Open and migrate the file, which is made if it is missing. Raises StorageError."""
        self.path = path
        self._db = connect(path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    @contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Hold a transaction, which is committed unless an error ends it."""
        try:
            with transaction(self._db):
                yield self._db
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    def _read(self, statement: str, *values: object) -> Iterator[sqlite3.Row]:
        try:
            yield from self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise unusable(self.path, error) from error

    def _execute(self, statement: str, *values: object) -> list[sqlite3.Row]:
        return list(self._read(statement, *values))


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Hold a transaction from BEGIN IMMEDIATE to COMMIT, or to ROLLBACK after an error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:  # a full disk may have rolled it back already
            db.execute("ROLLBACK")


def connect(path: Path) -> sqlite3.Connection:
    """Open and migrate the file, in autocommit mode. Raises StorageError."""
    try:
        return _open(path)
    except sqlite3.Error as error:
        still = _as_it_stands(path) if _stands_still(path) else None
        if still is None:
            raise unusable(path, error) from error
        return still


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        db.row_factory = sqlite3.Row
        refuse_other(db, str(path))  # before the journal's mode is written into somebody's file
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA temp_store = FILE")
        migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _as_it_stands(path: Path) -> sqlite3.Connection | None:
    """Open a file without the others that SQLite makes beside it; None where that will not do."""
    name = f"{path.absolute().as_uri()}?immutable=1"
    try:
        db = sqlite3.connect(name, isolation_level=None, check_same_thread=False, uri=True)
    except sqlite3.Error:
        return None
    db.row_factory = sqlite3.Row
    with suppress(sqlite3.Error):
        if is_current(db):
            return db
    db.close()
    return None


def _stands_still(path: Path) -> bool:
    """Whether a ledger was closed, on a file system that cannot be written to: a backup's."""
    try:
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # Windows has no statvfs; a new ledger is not there yet
        return False
    found = path.resolve()
    return is_read_only and not found.with_name(f"{found.name}-wal").exists()


def unusable(path: Path, error: sqlite3.Error) -> StorageError:
    """What a person reads when SQLite refuses."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY
    remedy = _cause_of(code, path) or _REMEDIES.get(code, _ANY_REMEDY)
    rebuild = f"`batchgen verify {path.parent.parent} --rebuild`"
    return StorageError(
        f"the ledger {path} cannot be used ({error}): {remedy.format(rebuild=rebuild)}"
    )


def _cause_of(code: int, path: Path) -> str | None:
    """What to do about a cause that SQLite does not tell apart from others."""
    try:
        if code == sqlite3.SQLITE_CANTOPEN:
            with ExitStack() as opened:
                for _ in range(_FILES):
                    opened.callback(os.close, os.open(path.parent, os.O_RDONLY))
        elif code == sqlite3.SQLITE_IOERR and not shutil.disk_usage(path.parent).free:
            return _FREE_SPACE
    except OSError as found:
        return remedy(found) if found.errno in (errno.EMFILE, errno.ENFILE) else None
    return None


def ensure_not_lost(path: Path) -> None:
    """Raise StorageError where results.jsonl tells of tasks and the file is gone or emptied.

    SQLite takes a file that is smaller than its smallest page for an empty one; it would make a
    new ledger, and everything would be generated again.
    """
    directory = path.parent.parent
    results = directory / "results.jsonl"
    try:
        lost = not path.exists() or path.stat().st_size < _LEAST_BYTES
        if not (lost and results.is_file() and results.stat().st_size):
            return
    except OSError as error:
        raise StorageError(f"cannot look at {path} ({error.strerror or error})") from error
    raise StorageError(
        f"the ledger {path} is gone or empty and {results} is not: put the ledger back from a"
        f" copy, make a new one by `batchgen verify {directory} --rebuild`, or choose another"
        " output directory"
    )
