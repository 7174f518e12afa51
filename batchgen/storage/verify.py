"""Holds the ledger against the files of an output directory, both ways.

Mending, and what a crash leaves: files of a damaged task are renamed to NAME.damaged before the
ledger forgets them. A crash in between leaves artifacts that are missing, which the next
`verify` finds.
"""

import errno
import hashlib
import os
import stat
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from enum import StrEnum
from itertools import count, islice
from pathlib import Path

import msgspec

from batchgen.errors import StorageError
from batchgen.storage.artifacts import fsync_folder
from batchgen.storage.ledger.inventory import Inventory, StoredArtifact
from batchgen.storage.results import FILE_NAME
from batchgen.storage.sidecars import ENDING as SIDECAR
from batchgen.storage.sidecars import FOLDER as CONVERTED
from batchgen.storage.summary import SUMMARY_NAME
from batchgen.types import Json, Status

DAMAGED_SUFFIX = ".damaged"
_OWN = frozenset({".batchgen", FILE_NAME, SUMMARY_NAME, "report.html", CONVERTED})
_THREADS = 4
_AHEAD = 64  # files waiting for a thread or for their turn to be told
_PATHS_AT_ONCE = 500
_NO_FILE = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EISDIR})


class FindingKind(StrEnum):
    """What is wrong with a file."""

    MISSING = "missing"
    EXTRA = "extra"  # no task's: neither of the newest generation nor of an earlier one
    SIZE = "size"
    HASH = "hash"


class Finding(msgspec.Struct, frozen=True):
    """A file that is not as the ledger has it; `stored` is None for one that no task has."""

    kind: FindingKind
    path: str
    stored: StoredArtifact | None = None

    def __str__(self) -> str:
        return f"{self.kind:<7}  {self.path}{self._task()}"

    def _task(self) -> str:
        if self.stored is None:
            return ""
        earlier = "" if self.stored.current else f", version {self.stored.generation}"
        return f" (task {self.stored.id}{earlier})"

    def to_json(self) -> dict[str, Json]:
        """An element of `findings`; `task` is the task's id."""
        task = None if self.stored is None else self.stored.id
        version = None if self.stored is None else self.stored.generation
        return {"kind": str(self.kind), "path": self.path, "task": task, "version": version}


class Verification(msgspec.Struct):
    """One pass over an output directory.

    fix: whether tasks whose newest artifacts are damaged are given back to the next run.
    artifacts, size_bytes: what was checked so far. found: findings by kind.
    repaired: tasks that were given back.
    """

    directory: Path
    inventory: Inventory
    fix: bool = False
    artifacts: int = 0
    size_bytes: int = 0
    found: Counter[FindingKind] = msgspec.field(default_factory=Counter)
    repaired: int = 0

    def findings(self) -> Iterator[Finding]:
        """Every finding; with `fix`, damage of the newest generation is mended before it is told.

        Raises StorageError for a file that may not be read.
        """
        for finding in self._damaged():
            self.found[finding.kind] += 1
            yield finding
        self.inventory.index_paths()
        for path in self._unknown():
            self.found[FindingKind.EXTRA] += 1
            yield Finding(FindingKind.EXTRA, path)

    def _damaged(self) -> Iterator[Finding]:
        with ExitStack() as stack:
            pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="verify")
            stack.callback(pool.shutdown, cancel_futures=True)
            for page in self.inventory.pages():
                found = [finding for finding in self._judged(pool, page) if finding is not None]
                if self.fix:
                    self._mend(page, found)
                yield from found

    def _judged(
        self, pool: ThreadPoolExecutor, page: list[StoredArtifact]
    ) -> Iterator[Finding | None]:
        self.artifacts += len(page)
        self.size_bytes += sum(stored.size_bytes for stored in page)
        return _in_order(pool, page, lambda stored: _judge(self.directory, stored))

    def _unknown(self) -> Iterator[str]:
        files = _files(self.directory, "")
        while paths := list(islice(files, _PATHS_AT_ONCE)):
            origins = [path.removesuffix(SIDECAR) for path in paths if path.endswith(SIDECAR)]
            known = self.inventory.known([path for path in (*paths, *origins) if _is_text(path)])
            yield from (path for path in paths if not {path, path.removesuffix(SIDECAR)} & known)

    def _mend(self, page: list[StoredArtifact], found: list[Finding]) -> None:
        """Give damaged tasks back to the next run, and set aside what is left of their files.

        What has not succeeded is not made again: only what is damaged is forgotten.
        """
        damaged = {one.stored for one in found if one.stored and one.stored.current}
        tasks = {one.task for one in damaged if one.status is Status.SUCCEEDED}
        self.repaired += len(tasks)
        missing = {one.path for one in found if one.kind is FindingKind.MISSING}
        taken = [one for one in page if one.current and (one.task in tasks or one in damaged)]
        self._set_aside(one.path for one in taken if one.path not in missing)
        if taken:
            self.inventory.reset(taken)

    def _set_aside(self, paths: Iterable[str]) -> None:
        for path in map(self.directory.joinpath, paths):
            try:
                path.rename(_free(path))
                fsync_folder(path.parent)
            except OSError as error:
                raise _unusable(path, error) from error


def stays_inside(path: str) -> bool:
    """Whether a path names a file below the output directory and outside of DIR/.batchgen."""
    parts = path.split("/")
    return parts[0] != ".batchgen" and not any(
        part in ("", ".", "..") or "\0" in part or "\\" in part for part in parts
    )


def sha256_of(path: Path) -> str:
    """The hash of a file, read in chunks. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _judge(directory: Path, stored: StoredArtifact) -> Finding | None:
    path = directory / stored.path
    try:
        found = path.stat()
        if not stat.S_ISREG(found.st_mode):
            return Finding(FindingKind.MISSING, stored.path, stored)
        if found.st_size != stored.size_bytes:
            return Finding(FindingKind.SIZE, stored.path, stored)
        if sha256_of(path) != stored.sha256:
            return Finding(FindingKind.HASH, stored.path, stored)
    except OSError as error:
        if error.errno in _NO_FILE:
            return Finding(FindingKind.MISSING, stored.path, stored)
        if error.errno == errno.EIO:  # the disk has lost it
            return Finding(FindingKind.HASH, stored.path, stored)
        raise _unusable(path, error) from error
    return None


def _in_order(
    pool: ThreadPoolExecutor,
    page: Iterable[StoredArtifact],
    judge: Callable[[StoredArtifact], Finding | None],
) -> Iterator[Finding | None]:
    """What the threads say, in the page's order, a bounded number of files ahead."""
    waiting: deque[Future[Finding | None]] = deque()
    for stored in page:
        waiting.append(pool.submit(judge, stored))
        if len(waiting) >= _AHEAD:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _files(directory: Path, below: str) -> Iterator[str]:
    """Paths of all that is no folder, relative to the output directory; batchgen's own left out."""
    try:
        with os.scandir(directory / below) as entries:
            for entry in entries:
                if not below and entry.name in _OWN:
                    continue
                path = f"{below}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    yield from _files(directory, f"{path}/")
                elif not entry.name.endswith(DAMAGED_SUFFIX):
                    yield path
    except OSError as error:
        raise _unusable(directory / below, error) from error


def _is_text(path: str) -> bool:
    """Whether a name is UTF-8, as all names are that the ledger keeps."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return False
    return True


def _free(path: Path) -> Path:
    for number in count(1):
        candidate = path.with_name(
            f"{path.name}{f'.{number}' if number > 1 else ''}{DAMAGED_SUFFIX}"
        )
        if not os.path.lexists(candidate):
            return candidate
    raise AssertionError("numbers do not end")


def _unusable(path: Path, error: OSError) -> StorageError:
    return StorageError(
        f"cannot read or rename {path} ({error.strerror or error}): mend the permissions or the"
        " disk, then verify again"
    )
