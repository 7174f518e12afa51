"""CSV for a spreadsheet: one row per task."""

import csv
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

import msgspec

from batchgen.storage.results import COLUMNS, artifact_json, line_of
from batchgen.types import Json, Record

_encode = msgspec.json.Encoder().encode


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
    first = artifact_json(artifacts[0]) if artifacts else {}
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
