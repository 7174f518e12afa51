"""The results as CSV for a spreadsheet, one row per task."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

import msgspec

from batchgen.storage.results import COLUMNS, artifact_json, line_of
from batchgen.types import Json, Record

_SIGNS = frozenset("=+-@")
_TRIMMED = ("\t", "\r")
_FILLERS = "\u115f\u1160\u2800\u3164\uffa0"  # letters and a symbol without a shape
_encode = msgspec.json.Encoder().encode


def write_csv(records: Iterable[Record], file: TextIO, variables: Sequence[str] = ()) -> None:
    """Write one row per task; the first artifact has its own columns, `paths` has all paths.

    variables: each gets a column, named `vars.NAME` if there is a column NAME already.
    An apostrophe precedes a cell that a spreadsheet would read as a formula.
    """
    writer = csv.writer(file)
    headings = (f"vars.{name}" if name in COLUMNS else name for name in variables)
    writer.writerow([*COLUMNS, *map(_cell, headings)])
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
    return "'" + value if isinstance(value, str) and is_formula(value) else value


def is_formula(text: str) -> bool:
    """Return whether a spreadsheet may read a cell as a formula.

    What is left after blanks and invisible characters counts, in its compatibility form: some
    programs trim a cell, and some treat a full-width sign as the ASCII one.
    """
    if text[:1] in _TRIMMED:
        return True
    start = next((at for at, character in enumerate(text) if not _is_invisible(character)), None)
    return start is not None and unicodedata.normalize("NFKC", text[start])[:1] in _SIGNS


def _is_invisible(character: str) -> bool:
    # Controls, formats, separators, and marks, which follow a visible character.
    return unicodedata.category(character)[0] in "CZM" or character in _FILLERS
