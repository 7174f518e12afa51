"""Connections to the ledger file: opening, transactions, and errors with a remedy."""

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from batchgen.errors import StorageError, remedy
from batchgen.storage.files import check_database
from batchgen.storage.ledger.schema import is_current, migrate, refuse_other

_MIN_BYTES = 512  # the smallest page of SQLite
_FILES = 4  # that SQLite opens at a time: the ledger, its -wal and -shm files, their folder
_PRIMARY_CODE = 0xFF  # of an extended code: https://sqlite.org/rescode.html
_DAMAGED = "restore it from a backup, or rebuild it with {rebuild}"
_FREE_SPACE = "free space, then run the same command again to continue"
_REMEDIES = {
    sqlite3.SQLITE_FULL: _FREE_SPACE,
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_NOTADB: _DAMAGED,
}
_DEFAULT_REMEDY = "check the disk and the permissions, or rebuild a damaged ledger with {rebuild}"


class LedgerFile:
    """An open ledger file; a context manager. SQLite's errors become StorageError.

    path: of the file.
    """

    def __init__(self, path: Path) -> None:
        """Open and migrate the file, which is created if it is missing. Raises StorageError."""
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
        """Run a transaction: COMMIT at the end, ROLLBACK after an error. Raises StorageError."""
        try:
            with transaction(self._db):
                yield self._db
        except sqlite3.Error as error:
            raise ledger_error(self.path, error) from error

    def _read(self, statement: str, *values: object) -> Iterator[sqlite3.Row]:
        try:
            yield from self._db.execute(statement, values)
        except sqlite3.Error as error:
            raise ledger_error(self.path, error) from error

    def _execute(self, statement: str, *values: object) -> list[sqlite3.Row]:
        return list(self._read(statement, *values))


def tuples(
    db: sqlite3.Connection, path: Path, statement: str, *values: object
) -> Iterator[tuple[Any, ...]]:
    """Yield rows as tuples: a million rows with names would take seconds longer.

    Raises StorageError.
    """
    cursor = db.cursor()
    cursor.row_factory = None
    try:
        yield from cursor.execute(statement, values)
    except sqlite3.Error as error:
        raise ledger_error(path, error) from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run a transaction: BEGIN IMMEDIATE, then COMMIT, or ROLLBACK after an error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    finally:
        if db.in_transaction:  # a full disk may have rolled it back already
            db.execute("ROLLBACK")


def connect(path: Path) -> sqlite3.Connection:
    """Open and migrate the file, in autocommit mode. Raises StorageError.

    A closed ledger on a read-only file system, such as a backup, is opened to read.
    """
    check_database(path)
    try:
        return _open(path)
    except sqlite3.Error as error:
        db = _open_immutable(path) if _is_immutable(path) else None
        if db is None:
            raise ledger_error(path, error) from error
        return db


def _open(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=30)
    try:
        db.row_factory = sqlite3.Row
        refuse_other(db, str(path))  # before the pragmas below change a file that is not ours
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        db.execute("PRAGMA temp_store = FILE")
        migrate(db)
    except BaseException:
        db.close()
        raise
    return db


def _open_immutable(path: Path) -> sqlite3.Connection | None:
    """Open the file without a write-ahead log; return None if it needs a migration or is damaged.

    See https://sqlite.org/uri.html#uriimmutable.
    """
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


def _is_immutable(path: Path) -> bool:
    """Return whether the ledger is on a read-only file system and was closed properly."""
    try:
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (AttributeError, OSError):  # Windows has no statvfs; a new ledger does not exist yet
        return False
    target = path.resolve()
    return is_read_only and not target.with_name(f"{target.name}-wal").exists()


def ledger_error(path: Path, error: sqlite3.Error) -> StorageError:
    """Return the error to raise for an error of SQLite, with a remedy."""
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    remedy = _system_remedy(code, path) or _REMEDIES.get(code, _DEFAULT_REMEDY)
    rebuild = f"`batchgen verify {path.parent.parent} --rebuild`"
    return StorageError(
        f"the ledger {path} cannot be used ({error}): {remedy.format(rebuild=rebuild)}"
    )


def _system_remedy(code: int, path: Path) -> str | None:
    """Return the remedy for too many open files or a full disk; SQLite reports neither as such."""
    try:
        if code == sqlite3.SQLITE_CANTOPEN:
            with ExitStack() as handles:
                for _ in range(_FILES):
                    handles.callback(os.close, os.open(path.parent, os.O_RDONLY))
        elif code == sqlite3.SQLITE_IOERR and not shutil.disk_usage(path.parent).free:
            return _FREE_SPACE
    except OSError as error:
        return remedy(error) if error.errno in (errno.EMFILE, errno.ENFILE) else None
    return None


def ensure_not_lost(path: Path) -> None:
    """Raise StorageError if the ledger is missing or empty but results.jsonl has tasks.

    SQLite treats a file that is smaller than its smallest page as an empty database. It would
    create a new ledger, and everything would be generated again.
    """
    directory = path.parent.parent
    results = directory / "results.jsonl"
    try:
        is_lost = not path.exists() or path.stat().st_size < _MIN_BYTES
        if not (is_lost and results.is_file() and results.stat().st_size):
            return
    except OSError as error:
        raise StorageError(
            f"cannot access {path} ({error.strerror or error}): {remedy(error)}"
        ) from error
    raise StorageError(
        f"the ledger {path} is missing or empty, but {results} is not: restore the ledger from a"
        f" backup, rebuild it with `batchgen verify {directory} --rebuild`, or choose another"
        " output directory"
    )
