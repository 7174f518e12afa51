"""The results manifest, derived from the ledger: appended to live, put in order at the end."""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
from msgspec import structs

from batchgen.errors import StorageError, write_error
from batchgen.storage.artifacts import write_atomically
from batchgen.storage.ledger import RESULTS, Ledger
from batchgen.text import utc_isoformat
from batchgen.types import Artifact, Json, Outcome, Record, Status, Task

SCHEMA = 1
FILE_NAME = "results.jsonl"
COLUMNS = (
    "id", "key", "line", "status", "model", "prompt", "params", "path", "paths", "bytes", "sha256",
    "media_type", "width", "height", "attempts", "http_status", "error_kind", "error_code",
    "error_message", "revised_prompt", "request_id", "cost_usd", "started_at", "finished_at",
    "duration_s",
)  # fmt: skip

_TOGETHER_S = 0.05  # a write for each line would be a tenth of what a small image costs

_MILLISECOND_END = len("2026-01-31T12:00:00.000")
_MICROSECOND_END = _MILLISECOND_END + 3
_MICROSECOND_STAMP = _MICROSECOND_END + len("+00:00")

_encode = msgspec.json.Encoder().encode
_SHOWN = {  # on the way in the ledger, `pending` or `unknown` for a person
    Status.SENT: Status.UNKNOWN,
    Status.SUBMITTED: Status.PENDING,
    Status.RECEIVED: Status.PENDING,
}
_SHOWN_WORDS = {str(status): str(shown) for status, shown in _SHOWN.items()}


class ResultsFile:
    """DIR/results.jsonl: appended to while tasks end, rewritten in manifest order at the end.

    monotonic: seconds; lines that end closer together than a twentieth of one are written together.
    """

    def __init__(self, directory: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._path = directory / FILE_NAME
        self._monotonic = monotonic
        self._written_at = -math.inf
        self._waiting: list[bytes] = []
        try:
            self._file = _open_at_last_line(self._path)
        except OSError as error:
            raise write_error(self._path, error) from error

    def append(self, task: Task, outcome: Outcome) -> None:
        """Add the line of a task that has just ended; of many that end at once, before long."""
        self._waiting.append(_encode(_line(task, outcome)) + b"\n")
        if self._monotonic() - self._written_at >= _TOGETHER_S:
            self.flush()

    def flush(self) -> None:
        """Write the lines that wait. Raises StorageError, and they wait on."""
        if not self._waiting:
            return
        lines = memoryview(b"".join(self._waiting))
        written = 0
        try:
            while written < len(lines):
                written += self._file.write(lines[written:])
        except OSError as error:
            with suppress(OSError):  # else the next run cuts the torn line away
                self._file.truncate(self._file.seek(-written, os.SEEK_END))
            raise write_error(self._path, error) from error
        self._waiting.clear()
        self._written_at = self._monotonic()

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Put all lines in order, atomically."""
        self.close()
        write_atomically(self._path, lines)

    def close(self) -> None:
        """Let go of the file; harmless when repeated."""
        with suppress(StorageError):  # the ledger has them, and the next run writes them
            self.flush()
        self._waiting.clear()
        self._file.close()

    def mark(self) -> str:
        """What tells whether the file is still the one that was written."""
        try:
            found = self._path.stat()
        except OSError:
            return ""
        return f"{found.st_ino} {found.st_size} {found.st_mtime_ns}"


class _ShownArtifact(msgspec.Struct, frozen=True, gc=False):
    path: str
    bytes: int
    sha256: str
    media_type: str
    width: int | None
    height: int | None


class _ShownError(msgspec.Struct, frozen=True, gc=False):
    kind: str
    code: str | None
    message: str


class _Line(msgspec.Struct, frozen=True):
    """The keys of a line in their order: every key is always there."""

    schema: int
    id: str
    key: str
    line: int
    status: str
    model: str
    prompt: str
    params: dict[str, Json] | msgspec.Raw
    vars: dict[str, Json] | msgspec.Raw
    artifacts: list[_ShownArtifact]
    attempts: int
    http_status: int | None
    error: _ShownError | None
    revised_prompt: str | None
    request_id: str | None
    cost_usd: float | None
    started_at: str | None
    finished_at: str | None
    duration_s: float | None


def stored_line(rows: Sequence[tuple[Any, ...]]) -> bytes:
    """The line of a task from its rows of STORED, one an artifact: as `line_of` has it.

    What is JSON in the ledger stays as it is. A million lines are written in a fraction of the
    time that it takes by way of records.
    """
    (
        _, task_id, key, line, status, model, prompt, params, variables, attempts, http_status,
        error_kind, error_code, error_message, revised_prompt, request_id, cost_usd, started_at,
        finished_at, duration_s, *artifact,
    ) = rows[0]  # fmt: skip
    has_none = artifact[0] is None
    artifacts = [] if has_none else [_ShownArtifact(*row[-len(artifact) :]) for row in rows]
    return (
        _encode(
            _Line(
                SCHEMA, task_id, key, line, _SHOWN_WORDS.get(status) or status, model, prompt,
                msgspec.Raw(params), msgspec.Raw(variables), artifacts, attempts, http_status,
                None if error_kind is None else _ShownError(error_kind, error_code, error_message),
                revised_prompt, request_id, cost_usd, _shorter(started_at), _shorter(finished_at),
                duration_s,
            )
        )
        + b"\n"
    )  # fmt: skip


def _shorter(moment: str | None) -> str | None:
    """The ledger's moment to the millisecond."""
    if moment is None or len(moment) == _MICROSECOND_STAMP:
        return moment and moment[:_MILLISECOND_END] + moment[_MICROSECOND_END:]
    return datetime.fromisoformat(moment).isoformat(timespec="milliseconds")


def line_of(record: Record) -> dict[str, Json]:
    """A line of the results manifest: every key is always there."""
    line: dict[str, Json] = msgspec.to_builtins(_line(record.task, record.outcome))
    return line


def _line(task: Task, outcome: Outcome) -> _Line:
    error = outcome.error
    return _Line(
        SCHEMA, task.id, task.key, task.line, shown_status(outcome.status).value, task.model,
        task.prompt, dict(task.params), dict(task.vars), list(map(_artifact, outcome.artifacts)),
        outcome.attempts, outcome.http_status,
        None if error is None else _ShownError(error.kind, error.code, error.message),
        outcome.revised_prompt, outcome.request_id, outcome.cost_usd, _stamp(outcome.started_at),
        _stamp(outcome.finished_at), outcome.duration_s,
    )  # fmt: skip


def shown_status(status: Status) -> Status:
    """The status as results and counts show it."""
    return _SHOWN.get(status, status)


def paid_for(counts: Mapping[Status, int]) -> int:
    """How many of the pending tasks are paid for: what they come to is only fetched."""
    return counts.get(Status.SUBMITTED, 0) + counts.get(Status.RECEIVED, 0)


def write_jsonl(records: Iterable[Record], file: BinaryIO) -> None:
    """Write a line a task."""
    file.writelines(jsonl_lines(records))


def jsonl_lines(records: Iterable[Record]) -> Iterator[bytes]:
    """The lines of the results manifest."""
    return (_encode(_line(record.task, record.outcome)) + b"\n" for record in records)


def artifact_json(artifact: Artifact) -> dict[str, Json]:
    """Return an artifact as an element of `artifacts` in a line of the results manifest."""
    return structs.asdict(_artifact(artifact))


def _artifact(artifact: Artifact) -> _ShownArtifact:
    return _ShownArtifact(*structs.astuple(artifact))


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else _shorter(utc_isoformat(moment))


def _open_at_last_line(path: Path) -> BinaryIO:
    """Open for appending; a line that a crash tore off is cut away (the ledger has its task)."""
    if path.is_symlink():  # or another's file would get the lines
        raise StorageError(f"{path} is a symbolic link: remove it; the ledger has every result")
    file = path.open("ab+", buffering=0)
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


def put_in_order(results: ResultsFile, ledger: Ledger, *, is_same: bool) -> None:
    """Write the results manifest in manifest order.

    is_same: the ledger is as the last run left it, so that a file which that run wrote stays.
    """
    if is_same and ledger.meta(RESULTS) == results.mark():
        return
    results.rewrite(map(stored_line, ledger.stored()))
    ledger.set_meta(RESULTS, results.mark())
