"""The results manifest, results.jsonl, which is derived from the ledger.

Lines are appended when tasks end, and rewritten in manifest order when the run ends.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import structs

from batchgen.errors import StorageError, write_error
from batchgen.storage.files import Folder
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.states import RESULTS
from batchgen.text import utc_isoformat
from batchgen.types import Artifact, Json, Outcome, Record, Status, Task

SCHEMA = 1
FILE_NAME = "results.jsonl"
COLUMNS = (
    "id", "key", "line", "status", "model", "prompt", "params", "path", "paths", "bytes", "sha256",
    "media_type", "width", "height", "attempts", "http_status", "error_kind", "error_code",
    "error_message", "revised_prompt", "request_id", "cost_usd", "started_at", "finished_at",
    "duration_s", "reply",
)  # fmt: skip

_FLUSH_INTERVAL_S = 0.05  # a write per line would take a tenth of the time of a small image

_MILLISECOND_END = len("2026-01-31T12:00:00.000")
_MICROSECOND_END = _MILLISECOND_END + 3
_MICROSECOND_STAMP = _MICROSECOND_END + len("+00:00")

_encode = msgspec.json.Encoder().encode
_PUBLIC_STATUSES = {  # of the statuses that only the ledger has
    Status.SENT: Status.UNKNOWN,
    Status.SUBMITTED: Status.PENDING,
    Status.RECEIVED: Status.PENDING,
}
_PUBLIC_NAMES = {str(status): str(public) for status, public in _PUBLIC_STATUSES.items()}


class ResultsFile:
    """The open file DIR/results.jsonl.

    monotonic: a clock in seconds. Lines that follow within 50 ms of a write are written together.
    """

    def __init__(self, directory: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = directory / FILE_NAME
        self._folder = Folder(directory)
        self._monotonic = monotonic
        self._flushed_at = -math.inf
        self._buffer: list[bytes] = []
        try:
            self._file = _open_at_last_line(self._folder)
        except OSError as error:
            raise write_error(self._path, error) from error

    def append(self, task: Task, outcome: Outcome) -> None:
        """Add the line of a task that has just ended; it may be buffered. Raises StorageError."""
        self._buffer.append(_encode(_line(task, outcome)) + b"\n")
        if self._monotonic() - self._flushed_at >= _FLUSH_INTERVAL_S:
            self.flush()

    def flush(self) -> None:
        """Write the buffered lines. Raises StorageError; the lines stay buffered then."""
        if not self._buffer:
            return
        lines = memoryview(b"".join(self._buffer))
        written = 0
        try:
            while written < len(lines):
                written += self._file.write(lines[written:])
        except OSError as error:
            with suppress(OSError):  # else the next run cuts off the incomplete line
                self._file.truncate(self._file.seek(-written, os.SEEK_END))
            raise write_error(self._path, error) from error
        self._buffer.clear()
        self._flushed_at = self._monotonic()

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Close the file and replace it by these lines, atomically. Raises StorageError."""
        self.close()
        try:
            self._folder.replace(FILE_NAME, lines)
        except OSError as error:
            raise write_error(self._path, error) from error

    def close(self) -> None:
        """Write the buffered lines if possible, and close the file; harmless when repeated."""
        with suppress(StorageError):  # the ledger has the tasks, and the next run writes the lines
            self.flush()
        self._buffer.clear()
        self._file.close()

    def fingerprint(self) -> str:
        """Return inode, size and time of change, which show whether the file was changed."""
        return fingerprint_of(self._folder.root)


class _ArtifactJson(msgspec.Struct, frozen=True, gc=False):
    path: str
    bytes: int
    sha256: str
    media_type: str
    width: int | None
    height: int | None


class _ErrorJson(msgspec.Struct, frozen=True, gc=False):
    kind: str
    code: str | None
    message: str


class _Line(msgspec.Struct, frozen=True):
    """The keys of a line, in order; every line has all of them."""

    schema: int
    id: str
    key: str
    line: int
    status: str
    model: str
    prompt: str
    params: dict[str, Json] | msgspec.Raw
    vars: dict[str, Json] | msgspec.Raw
    artifacts: list[_ArtifactJson]
    attempts: int
    http_status: int | None
    error: _ErrorJson | None
    revised_prompt: str | None
    request_id: str | None
    cost_usd: float | None
    started_at: str | None
    finished_at: str | None
    duration_s: float | None
    reply: str | None


def encode_rows(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Return the line of a task, as `line_of` does, from its rows of `Ledger.result_rows`.

    JSON in the ledger is copied as it is: for a million lines this takes a fraction of the time
    that records would take.
    """
    (
        _, task_id, key, line, status, model, prompt, params, variables, attempts, http_status,
        error_kind, error_code, error_message, revised_prompt, request_id, cost_usd, started_at,
        finished_at, duration_s, reply, *artifact,
    ) = rows[0]  # fmt: skip
    has_none = artifact[0] is None
    artifacts = [] if has_none else [_ArtifactJson(*row[-len(artifact) :]) for row in rows]
    return (
        _encode(
            _Line(
                SCHEMA, task_id, key, line, _PUBLIC_NAMES.get(status) or status, model, prompt,
                msgspec.Raw(params), msgspec.Raw(variables), artifacts, attempts, http_status,
                None if error_kind is None else _ErrorJson(error_kind, error_code, error_message),
                revised_prompt, request_id, cost_usd, to_milliseconds(started_at),
                to_milliseconds(finished_at), duration_s, reply,
            )
        )
        + b"\n"
    )  # fmt: skip


def to_milliseconds(moment: str | None) -> str | None:
    """Return a moment of the ledger in milliseconds, as the results manifest has it."""
    if moment is None or len(moment) == _MICROSECOND_STAMP:
        return moment and moment[:_MILLISECOND_END] + moment[_MICROSECOND_END:]
    return datetime.fromisoformat(moment).isoformat(timespec="milliseconds")


def line_of(record: Record) -> dict[str, Json]:
    """Return a line of the results manifest as a dict with all keys."""
    line: dict[str, Json] = msgspec.to_builtins(_line(record.task, record.outcome))
    return line


def _line(task: Task, outcome: Outcome) -> _Line:
    error = outcome.error
    return _Line(
        SCHEMA, task.id, task.key, task.line, public_status(outcome.status).value, task.model,
        task.prompt, dict(task.params), dict(task.vars), list(map(_artifact, outcome.artifacts)),
        outcome.attempts, outcome.http_status,
        None if error is None else _ErrorJson(error.kind, error.code, error.message),
        outcome.revised_prompt, outcome.request_id, outcome.cost_usd, stamp(outcome.started_at),
        stamp(outcome.finished_at), outcome.duration_s, outcome.reply,
    )  # fmt: skip


def public_status(status: Status) -> Status:
    """Return the status that results and counts show for a status of the ledger."""
    return _PUBLIC_STATUSES.get(status, status)


def count_paid(counts: Mapping[Status, int]) -> int:
    """Return how many pending tasks are paid for: their results only have to be fetched."""
    return counts.get(Status.SUBMITTED, 0) + counts.get(Status.RECEIVED, 0)


def write_jsonl(records: Iterable[Record], file: BinaryIO) -> None:
    """Write one line per task."""
    file.writelines(_encode(_line(record.task, record.outcome)) + b"\n" for record in records)


def artifact_json(artifact: Artifact) -> dict[str, Json]:
    """Return an artifact as an element of `artifacts` in a line of the results manifest."""
    return structs.asdict(_artifact(artifact))


def _artifact(artifact: Artifact) -> _ArtifactJson:
    return _ArtifactJson(*structs.astuple(artifact))


def stamp(moment: datetime | None) -> str | None:
    """Return a moment as the results manifest has it."""
    return None if moment is None else to_milliseconds(utc_isoformat(moment))


def _open_at_last_line(folder: Folder) -> BinaryIO:
    """Open for appending, and cut off an incomplete last line (the ledger has its task)."""
    file = folder.open_to_append(FILE_NAME)
    size = file.seek(0, os.SEEK_END)
    position = size
    while position > 0:
        start = max(0, position - 65536)
        file.seek(start)
        newline = file.read(position - start).rfind(b"\n")
        if newline >= 0:
            position = start + newline + 1
            break
        position = start
    if position < size:
        file.truncate(position)
    file.seek(0, os.SEEK_END)
    return file


def write_in_manifest_order(results: ResultsFile, ledger: Ledger, *, unchanged: bool) -> None:
    """Rewrite the results manifest in manifest order. Raises StorageError.

    unchanged: the ledger has not changed since the last run; the file is kept if it has not either.
    """
    if unchanged and ledger.meta(RESULTS) == results.fingerprint():
        return
    results.rewrite(map(encode_rows, ledger.result_rows()))
    ledger.mark_results_written(results.fingerprint())


def fingerprint_of(directory: Path) -> str:
    """Return the fingerprint of the results manifest, empty if there is none."""
    try:
        status = os.lstat(directory / FILE_NAME)
    except OSError:
        return ""
    return f"{status.st_ino} {status.st_size} {status.st_mtime_ns}"
