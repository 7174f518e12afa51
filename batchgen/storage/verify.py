"""Compares the ledger with the files of an output directory, in both directions.

Repair and crashes: files of a damaged task are renamed to NAME.damaged before the ledger forgets
them. A crash in between leaves missing artifacts, which the next `verify` finds.
"""

import errno
import hashlib
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from itertools import count, islice
from pathlib import Path

import msgspec

from batchgen.errors import StorageError
from batchgen.storage.files import Folder, UnsafePathError, encoded, stays_inside
from batchgen.storage.ledger.inventory import Inventory, StoredArtifact
from batchgen.storage.results import FILE_NAME
from batchgen.storage.sidecars import CONVERTED_FOLDER, SIDECAR_SUFFIX
from batchgen.storage.summary import SUMMARY_NAME
from batchgen.types import Json, Status

DAMAGED_SUFFIX = ".damaged"
_NOT_ARTIFACTS = frozenset({".batchgen", FILE_NAME, SUMMARY_NAME, "report.html", CONVERTED_FOLDER})
_THREADS = 4
_MAX_AHEAD = 64  # files that are being checked, or checked and not yet yielded
_PATHS_PER_QUERY = 500
_MISSING_ERRNOS = frozenset(
    {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR}
)


class FindingKind(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"
    EXTRA = "extra"  # not an artifact of any task, in any generation
    SIZE = "size"
    HASH = "hash"


class Finding(msgspec.Struct, frozen=True):
    """A file that differs from the ledger; `stored` is None if no task has it."""

    kind: FindingKind
    path: str
    stored: StoredArtifact | None = None

    def __str__(self) -> str:
        return f"{self.kind:<7}  {self.path}{self._describe_task()}"

    def _describe_task(self) -> str:
        if self.stored is None:
            return ""
        earlier = "" if self.stored.current else f", version {self.stored.generation}"
        return f" (task {self.stored.id}{earlier})"

    def to_json(self) -> dict[str, Json]:
        """Return an element of `findings`; `task` is the task's id."""
        task = None if self.stored is None else self.stored.id
        version = None if self.stored is None else self.stored.generation
        return {"kind": str(self.kind), "path": self.path, "task": task, "version": version}


class Verification(msgspec.Struct):
    """One pass over an output directory.

    fix: tasks whose newest artifacts are damaged become pending, so that the next run generates
        them again.
    artifacts, size_bytes: checked so far.
    counts: the number of findings by kind.
    repaired: the number of tasks that became pending.
    """

    directory: Path
    inventory: Inventory
    fix: bool = False
    artifacts: int = 0
    size_bytes: int = 0
    counts: Counter[FindingKind] = msgspec.field(default_factory=Counter)
    repaired: int = 0

    def findings(self) -> Iterator[Finding]:
        """Yield every finding, after its task was repaired if `fix` is set.

        Raises StorageError if a file cannot be read or renamed.
        """
        for finding in self._damaged():
            self.counts[finding.kind] += 1
            yield finding
        self.inventory.index_paths()
        for path in self._extra_paths():
            self.counts[FindingKind.EXTRA] += 1
            yield Finding(FindingKind.EXTRA, path)

    def _damaged(self) -> Iterator[Finding]:
        with ExitStack() as stack:
            pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="verify")
            stack.callback(pool.shutdown, cancel_futures=True)
            for page in self.inventory.pages():
                findings = [finding for finding in self._check_page(pool, page) if finding]
                if self.fix:
                    self._repair(page, findings)
                yield from findings

    def _check_page(
        self, pool: ThreadPoolExecutor, page: list[StoredArtifact]
    ) -> Iterator[Finding | None]:
        self.artifacts += len(page)
        self.size_bytes += sum(stored.size_bytes for stored in page)
        return _in_order(pool, page, self._check_file)

    def _extra_paths(self) -> Iterator[str]:
        files = _files(self.directory, "")
        while paths := list(islice(files, _PATHS_PER_QUERY)):
            names = {path: {path, path.removesuffix(SIDECAR_SUFFIX)} for path in paths}
            every = set[str]().union(*names.values())
            known = self.inventory.known([name for name in every if _is_utf8(name)])
            yield from (path for path in paths if not names[path] & known)

    def _repair(self, page: list[StoredArtifact], findings: list[Finding]) -> None:
        """Make damaged tasks pending again, and rename what is left of their files.

        Tasks that had not succeeded keep their status; the ledger only forgets their damaged files.
        """
        damaged = {
            finding.stored for finding in findings if finding.stored and finding.stored.current
        }
        tasks = {stored.task for stored in damaged if stored.status is Status.SUCCEEDED}
        self.repaired += len(tasks)
        missing = {finding.path for finding in findings if finding.kind is FindingKind.MISSING}
        forgotten = [
            stored
            for stored in page
            if stored.current and (stored.task in tasks or stored in damaged)
        ]
        self._set_aside(stored.path for stored in forgotten if stored.path not in missing)
        if forgotten:
            self.inventory.reset(forgotten)

    def _set_aside(self, paths: Iterable[str]) -> None:
        folder = Folder(self.directory)
        for path in paths:
            try:
                folder.rename(path, _free_damaged_name(folder, path))
                folder.sync(path.rpartition("/")[0])
            except OSError as error:
                raise _file_error(self.directory / path, error) from error

    def _check_file(self, stored: StoredArtifact) -> Finding | None:
        try:
            kind = self._kind(stored)
        except OSError as error:
            if error.errno in _MISSING_ERRNOS:
                kind = FindingKind.MISSING
            elif error.errno == errno.EIO:  # the disk has lost the content
                kind = FindingKind.HASH
            else:
                raise _file_error(self.directory / stored.path, error) from error
        return None if kind is None else Finding(kind, stored.path, stored)

    def _kind(self, stored: StoredArtifact) -> FindingKind | None:
        """Return what is wrong with a file. Raises OSError, and UnsafePathError.

        If its folder is a link, nothing is fixed: the files are probably behind it.
        """
        folder = Folder(self.directory)
        if not stays_inside(stored.path):
            return FindingKind.MISSING
        try:
            with folder.open_to_read(stored.path) as file:
                if os.fstat(file.fileno()).st_size != stored.size_bytes:
                    return FindingKind.SIZE
                is_same = hashlib.file_digest(file, "sha256").hexdigest() == stored.sha256
                return None if is_same else FindingKind.HASH
        except UnsafePathError:
            if self.fix:
                folder.check_folders(stored.path)
            return FindingKind.MISSING


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hex. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_order(
    pool: ThreadPoolExecutor,
    page: Iterable[StoredArtifact],
    check: Callable[[StoredArtifact], Finding | None],
) -> Iterator[Finding | None]:
    """Yield the threads' results in the page's order, a bounded number of files ahead."""
    pending: deque[Future[Finding | None]] = deque()
    for stored in page:
        pending.append(pool.submit(check, stored))
        if len(pending) >= _MAX_AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _files(directory: Path, below: str) -> Iterator[str]:
    """Yield the paths of files that could be artifacts, relative to the output directory."""
    try:
        with os.scandir(_path_of(directory, below)) as entries:
            for entry in entries:
                if not below and entry.name in _NOT_ARTIFACTS:
                    continue
                path = f"{below}{_as_in_ledger(entry.name)}"
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(directory, f"{path}/")
                elif not entry.name.endswith(DAMAGED_SUFFIX):
                    yield path
    except OSError as error:
        raise _file_error(directory / below, error) from error


def _path_of(directory: Path, below: str) -> str:
    return f"{directory}/{os.fsdecode(encoded(below))}"


def _as_in_ledger(name: str) -> str:
    """Return a name of the file system as text, as far as its bytes are UTF-8, in any locale."""
    return name if name.isascii() else os.fsencode(name).decode("utf-8", "surrogateescape")


def _is_utf8(path: str) -> bool:
    """Return whether a path is UTF-8; paths in the ledger are, and SQLite takes no others."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _free_damaged_name(folder: Folder, path: str) -> str:
    for number in count(1):
        candidate = f"{path}{f'.{number}' if number > 1 else ''}{DAMAGED_SUFFIX}"
        if not folder.exists(candidate):
            return candidate
    raise AssertionError("numbers do not end")


def _file_error(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot read or rename {path} ({error.strerror or error}): fix the permissions or the"
        " disk, then verify again"
    )
