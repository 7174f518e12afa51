"""CSV and TSV: a header line that names the columns, then one record per row.

CSV is RFC 4180 as Python's csv module reads it: a cell that begins with a quote ends with one,
quotes inside it are doubled, and it may contain separators and line breaks. In any other cell a
quote is text.

TSV comes from spreadsheets and data frames, which quote as in CSV, and from tools that never
quote. So a row is one line, a cell that is quoted from end to end as in CSV is unquoted, and any
other cell is taken literally, with its quotes. A cell that begins with a quote and has an odd
number of quotes is a Problem: it could be either, or the first line of a longer cell.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterator
from itertools import chain
from typing import TypeAlias

import msgspec

from batchgen.manifest.formats.decoding import MAX_ROW_BYTES, MAX_ROW_TEXT, TextLines
from batchgen.types import Problem, Row

_BUILT_IN = frozenset({"prompt", "id", "filename", "model"})
_CSV_QUOTED = re.compile(r'"[^"]*+(?>(?:""[^"]*+)*)"')
_TSV_CELL = re.compile(r'"([^"]*+(?>(?:""[^"]*+)*))"(?=\t|\Z)|([^\t]*+)')

# The line of a record's first character, and its cells.
_Record: TypeAlias = tuple[int, list[str]]


class _RowError(ValueError):
    """A row or the header cannot be read; the message says why, and what to do."""


def read_csv(lines: TextLines, label: str, *, needs_prompt: bool) -> Iterator[Row | Problem]:
    """Yield the rows of a CSV file; the module's docstring describes the quoting.

    The separator is the comma; if the header has no comma, the semicolon or else the tab, which
    spreadsheets use in locales with a decimal comma.
    """
    return _rows(_csv_records(lines, label), label, needs_prompt=needs_prompt)


def read_tsv(lines: TextLines, label: str, *, needs_prompt: bool) -> Iterator[Row | Problem]:
    """Yield the rows of a TSV file; the module's docstring describes the quoting."""
    return _rows(_tsv_records(lines, label), label, needs_prompt=needs_prompt)


class _Header(msgspec.Struct, frozen=True):
    """The checked column names; "" for columns without a name, whose cells must be empty."""

    names: tuple[str, ...]
    needs_prompt: bool
    has_unnamed: bool

    def fields(self, cells: list[str]) -> dict[str, str]:
        """Return the cells by column name, without empty cells; {} for a blank row."""
        if len(cells) != len(self.names) or "" in cells or self.has_unnamed or cells[0].isspace():
            return self._uneven_fields(cells)
        return dict(zip(self.names, cells))  # noqa: B905  # lengths are equal; once per row

    def _uneven_fields(self, cells: list[str]) -> dict[str, str]:
        if not any(cell.strip() for cell in cells):
            return {}
        actual, expected = len(cells), len(self.names)
        counts = f"the row has {_cells(actual)}, but the header has {expected}"
        if actual > expected:
            raise _RowError(f"{counts}; quote cells that contain the separator")
        self._check_unnamed(cells)
        fields = {name: cell for name, cell in zip(self.names, cells, strict=False) if cell}
        if actual < expected and self.needs_prompt and "prompt" not in fields:
            raise _RowError(f"{counts}, and the prompt is missing; write a cell for each column")
        return fields

    def _check_unnamed(self, cells: list[str]) -> None:
        for column, (name, cell) in enumerate(zip(self.names, cells, strict=False), 1):
            if cell and not name:
                raise _RowError(f"cell {column} has no name in the header; name the column")


def _cells(count: int) -> str:
    return "1 cell" if count == 1 else f"{count} cells"


def _header(cells: list[str], *, needs_prompt: bool) -> _Header:
    """Check the header line. Raise _RowError if it cannot be used."""
    stripped = [cell.strip() for cell in cells]
    names = tuple(name.lower() if name.lower() in _BUILT_IN else name for name in stripped)
    repeated = [name for name, times in Counter(names).items() if name and times > 1]
    if repeated:
        raise _RowError(f'the header has "{repeated[0]}" twice; rename or remove one column')
    if needs_prompt and "prompt" not in names:
        columns = ", ".join(f'"{name}"' for name in names)
        raise _RowError(f'the header has no column "prompt", only {columns}; add or rename one')
    return _Header(names, needs_prompt, "" in names)


def _rows(
    records: Iterator[_Record | Problem], label: str, *, needs_prompt: bool
) -> Iterator[Row | Problem]:
    """Turn records into rows. The first record is the header; if it has a Problem, stop there."""
    header = None
    for record in records:
        if isinstance(record, Problem):
            yield record
            if header is None:
                return
            continue
        line, cells = record
        try:
            if header is not None:
                if fields := header.fields(cells):
                    yield Row(label, line, fields, textual=True)
            elif any(cell.strip() for cell in cells):
                header = _header(cells, needs_prompt=needs_prompt)
        except _RowError as error:
            yield Problem(label, line, str(error))
            if header is None:
                return


def _tsv_records(lines: TextLines, label: str) -> Iterator[_Record | Problem]:
    for number, line in enumerate(lines, 1):
        if lines.problems:
            yield from lines.take_problems()
            continue
        try:
            yield number, _tsv_cells(line.rstrip("\r\n"))
        except _RowError as error:
            yield Problem(label, number, str(error))
    yield from lines.take_problems()


def _tsv_cells(line: str) -> list[str]:
    if not line.startswith('"') and '\t"' not in line:
        return line.split("\t")
    cells: list[str] = []
    end = -1
    while end < len(line):
        match = _TSV_CELL.match(line, end + 1)
        assert match, "the pattern matches the empty string"  # noqa: S101  # for mypy
        end = match.end()
        quoted, bare = match.groups()
        if quoted is None and bare.startswith('"') and bare.count('"') % 2:
            message = f"cell {len(cells) + 1} begins with a quote that is not closed on this line"
            remedy = 'write a quote that is text as """", or use CSV for cells with line breaks'
            raise _RowError(f"{message}; {remedy}")
        cells.append(bare if quoted is None else quoted.replace('""', '"'))
    return cells


class _RecordLines:
    """Lines for csv.reader; keeps those of the current record, to locate an unclosed quote in it.

    new_record: set by the caller when a record is complete.
    overflowed: the record is longer than MAX_ROW_BYTES; no more lines are yielded.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.new_record = True
        self.overflowed = False
        self._lines = lines
        self._record: list[str] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if self.new_record:
                self.new_record = False
                self._record = [line]
                self._size = len(line)
            else:
                self._record.append(line)
                self._size += len(line)
                if self._size > MAX_ROW_BYTES:
                    self.overflowed = True
                    return
            yield line

    def record(self) -> str:
        """Return the text of the current record."""
        return "".join(self._record)


def _csv_records(lines: TextLines, label: str) -> Iterator[_Record | Problem]:
    # csv's limit holds for the whole process, so only raise it; _RecordLines limits records.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_ROW_BYTES))
    text = iter(lines)
    skipped, first = _first_line(text, lines)
    delimiter = _delimiter(first)
    record_lines = _RecordLines(chain([first], text))
    reader = csv.reader(record_lines, delimiter=delimiter, strict=True)
    while True:
        line = skipped + reader.line_num + 1
        record_lines.new_record = True
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield from lines.take_problems()
            yield _csv_problem(error, record_lines, Problem(label, line, ""), delimiter)
        else:
            if lines.problems:
                yield from lines.take_problems()
            else:
                yield line, cells
    yield from lines.take_problems()


def _first_line(text: Iterator[str], lines: TextLines) -> tuple[int, str]:
    """Return the number of blank lines before the header, and the header's first line."""
    for skipped, line in enumerate(text):
        if lines.problems or not line.isspace():
            return skipped, line
    return 0, ""


def _delimiter(header: str) -> str:
    candidates = (mark for mark in ",;\t" if mark in header)
    return next(candidates, ",")


def _csv_problem(
    error: csv.Error, record_lines: _RecordLines, record: Problem, delimiter: str
) -> Problem:
    """Return the Problem for a csv.Error, at the line where the broken quote was opened."""
    if "new-line character" in str(error):
        message = "the row contains a bare carriage return; save the file with LF line ends"
        return Problem(record.file, record.line, message)
    text = record_lines.record()
    line = record.line + text.count("\n", 0, _last_quoted_cell(text, delimiter))
    remedy = 'close the quote, or double each quote that is text ("")'
    if record_lines.overflowed:
        message = f"the quoted cell that begins here does not end within {MAX_ROW_TEXT}; {remedy}"
    elif "unexpected end" in str(error):
        message = f"the quote opened on this line is never closed; {remedy}"
    elif "expected after" in str(error):
        message = f"text follows the closing quote of a cell that begins here; {remedy}"
    else:
        message = str(error)
    return Problem(record.file, line, message)


def _last_quoted_cell(text: str, delimiter: str) -> int:
    """Return the position of the last quoted cell of a broken record: the one that broke it."""
    at = 0
    while True:
        if text.startswith('"', at):
            quoted = _CSV_QUOTED.match(text, at)
            if not quoted or not text.startswith(delimiter, quoted.end()):
                return at
            at = quoted.end() + 1
        else:
            following = text.find(delimiter, at)
            if following < 0:
                return 0
            at = following + 1
