"""The results manifest, derived from the ledger: appended to live, put in order at the end."""

import csv
import math
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, TextIO

import msgspec
from msgspec import structs

from batchgen.errors import StorageError, unwritable
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
            raise unwritable(self._path, error) from error

    def append(self, task: Task, outcome: Outcome) -> None:
        """Add the line of a task that has just ended; of many that end at once, before long."""
        self._waiting.append(_encode(line_of(Record(task, outcome))) + b"\n")
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
            raise unwritable(self._path, error) from error
        self._waiting.clear()
        self._written_at = self._monotonic()

    def rewrite(self, lines: Iterable[bytes]) -> None:
        """Put all lines in order, atomically."""
        self.close()
        temporary = self._path.parent / ".batchgen" / f"{FILE_NAME}.part"
        try:
            with temporary.open("wb") as file:
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
            temporary.rename(self._path)
        except OSError as error:
            with suppress(OSError):  # on a full disk every block counts
                temporary.unlink()
            raise unwritable(self._path, error) from error

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


class _Stored(msgspec.Struct, frozen=True):
    """The keys of a line in their order; what is JSON in the ledger stays as it is."""

    schema: int
    id: str
    key: str
    line: int
    status: str
    model: str
    prompt: str
    params: msgspec.Raw
    vars: msgspec.Raw
    artifacts: list[dict[str, Json]]
    attempts: int
    http_status: int | None
    error: dict[str, Json] | None
    revised_prompt: str | None
    request_id: str | None
    cost_usd: float | None
    started_at: str | None
    finished_at: str | None
    duration_s: float | None


def stored_line(rows: Sequence[sqlite3.Row]) -> bytes:
    """The line of a task from its rows in the ledger, one an artifact: as `line_of` has it.

    A million lines are written in a third of the time that it takes by way of records.
    """
    row = rows[0]
    error: dict[str, Json] | None = None
    if row["error_kind"] is not None:
        told = row["error_kind"], row["error_code"], row["error_message"]
        error = dict(zip(("kind", "code", "message"), told, strict=True))
    line = _Stored(
        SCHEMA, row["id"], row["key"], row["line"], _SHOWN_WORDS.get(row["status"], row["status"]),
        row["model"], row["prompt"], msgspec.Raw(row["params"]), msgspec.Raw(row["vars"]),
        [] if row["path"] is None else [_stored_artifact(one) for one in rows],
        row["attempts"], row["http_status"], error, row["revised_prompt"], row["request_id"],
        row["cost_usd"], _shorter(row["started_at"]), _shorter(row["finished_at"]),
        row["duration_s"],
    )  # fmt: skip
    return _encode(line) + b"\n"


def _stored_artifact(row: sqlite3.Row) -> dict[str, Json]:
    return _shown_artifact(
        row["path"], row["size_bytes"], row["sha256"], row["media_type"], row["width"],
        row["height"],
    )  # fmt: skip


def _shorter(stamp: str | None) -> str | None:
    """The ledger's moment to the millisecond."""
    if stamp is None or len(stamp) != _MICROSECOND_STAMP:
        return None if stamp is None else _stamp(datetime.fromisoformat(stamp))
    return stamp[:_MILLISECOND_END] + stamp[_MICROSECOND_END:]


def line_of(record: Record) -> dict[str, Json]:
    """A line of the results manifest: every key is always there."""
    task, outcome = record.task, record.outcome
    error = outcome.error
    return {
        "schema": SCHEMA,
        "id": task.id,
        "key": task.key,
        "line": task.line,
        "status": str(shown_status(outcome.status)),
        "model": task.model,
        "prompt": task.prompt,
        "params": dict(task.params),
        "vars": dict(task.vars),
        "artifacts": [_artifact(artifact) for artifact in outcome.artifacts],
        "attempts": outcome.attempts,
        "http_status": outcome.http_status,
        "error": None
        if error is None
        else {"kind": error.kind, "code": error.code, "message": error.message},
        "revised_prompt": outcome.revised_prompt,
        "request_id": outcome.request_id,
        "cost_usd": outcome.cost_usd,
        "started_at": _stamp(outcome.started_at),
        "finished_at": _stamp(outcome.finished_at),
        "duration_s": outcome.duration_s,
    }


def shown_status(status: Status) -> Status:
    """The status as results and counts show it."""
    return _SHOWN.get(status, status)


def write_jsonl(records: Iterable[Record], file: BinaryIO) -> None:
    """Write a line a task."""
    file.writelines(jsonl_lines(records))


def jsonl_lines(records: Iterable[Record]) -> Iterator[bytes]:
    """The lines of the results manifest."""
    return (_encode(line_of(record)) + b"\n" for record in records)


def write_csv(records: Iterable[Record], file: TextIO, variables: Sequence[str] = ()) -> None:
    """Write a row a task: its first artifact in columns, the paths of all in one.

    variables: those that get a column each, `vars.NAME` where NAME is a column already.
    A cell that a spreadsheet would take for a formula gets an apostrophe before it.
    """
    writer = csv.writer(file)
    named = (f"vars.{name}" if name in COLUMNS else name for name in variables)
    writer.writerow([*COLUMNS, *map(_cell, named)])
    for record in records:
        own = (record.task.vars.get(name) for name in variables)
        writer.writerow([_cell(value) for value in (*_cells(record), *own)])


def _cells(record: Record) -> Iterator[Json]:
    line = line_of(record)
    error = record.outcome.error
    artifacts = record.outcome.artifacts
    first = _artifact(artifacts[0]) if artifacts else {}
    extra: dict[str, Json] = {
        **first,
        "params": _encode(record.task.params).decode(),
        "paths": " ".join(artifact.path for artifact in artifacts),
        "error_kind": error.kind if error else None,
        "error_code": error.code if error else None,
        "error_message": error.message if error else None,
    }
    for column in COLUMNS:
        yield extra.get(column) if column in extra else line.get(column)


def _cell(value: Json) -> Json:
    if isinstance(value, list | dict):
        return _encode(value).decode()
    if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r"):
        return "'" + value
    return value


def _artifact(artifact: Artifact) -> dict[str, Json]:
    return _shown_artifact(*structs.astuple(artifact))


def _shown_artifact(  # noqa: PLR0913, PLR0917  # the keys of an artifact, in their order
    path: str,
    size_bytes: int,
    sha256: str,
    media_type: str,
    width: int | None,
    height: int | None,
) -> dict[str, Json]:
    return {
        "path": path,
        "bytes": size_bytes,
        "sha256": sha256,
        "media_type": media_type,
        "width": width,
        "height": height,
    }


def _stamp(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat(timespec="milliseconds")


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
