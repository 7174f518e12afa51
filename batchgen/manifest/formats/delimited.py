"""CSV and TSV: a header line that names the columns, then a row a record.

CSV is RFC 4180 as Python's csv module reads it: a cell that begins with a quote ends with one,
quotes within are doubled, and such a cell may hold separators and line breaks. A quote in a cell
that does not begin with one is text.

TSV comes from spreadsheets and data frames, which quote as CSV does, and from tools that never
quote. So a row is a line, a cell that is quoted from end to end in the CSV manner is unquoted, and
any other cell is taken as it stands, quotes included. A cell that begins with a quote and holds
an odd number of them could be either, or the first line of a longer cell: that is a Problem.
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
    """What is wrong with one row or the header, in words for a person."""


def read_csv(lines: TextLines, label: str, *, needs_prompt: bool) -> Iterator[Row | Problem]:
    """Read CSV; see the module for its quoting.

    The separator is the comma, unless the header has none but a semicolon or else a tab, as
    spreadsheets write where the comma is the decimal sign.
    """
    return _rows(_csv_records(lines, label), label, needs_prompt=needs_prompt)


def read_tsv(lines: TextLines, label: str, *, needs_prompt: bool) -> Iterator[Row | Problem]:
    """Read TSV; see the module for its quoting."""
    return _rows(_tsv_records(lines, label), label, needs_prompt=needs_prompt)


class _Header(msgspec.Struct, frozen=True):
    """The checked columns; unnamed ones, allowed over empty cells, are empty strings."""

    names: tuple[str, ...]
    needs_prompt: bool
    has_unnamed: bool

    def fields(self, cells: list[str]) -> dict[str, str]:
        """Pair names with cells; an empty cell is not given, and a blank row has no fields."""
        if len(cells) != len(self.names) or "" in cells or self.has_unnamed or cells[0].isspace():
            return self._uneven_fields(cells)
        return dict(zip(self.names, cells))  # noqa: B905  # of one length, and there are millions

    def _uneven_fields(self, cells: list[str]) -> dict[str, str]:
        if not any(cell.strip() for cell in cells):
            return {}
        found, expected = len(cells), len(self.names)
        if found > expected:
            message = f"the row has {found} cells, the header {expected}"
            raise _RowError(f"{message}; quote cells that contain the separator")
        self._check_unnamed(cells)
        fields = {name: cell for name, cell in zip(self.names, cells, strict=False) if cell}
        if found < expected and self.needs_prompt and "prompt" not in fields:
            message = f"the row has {found} cells, the header {expected}, and none is the prompt"
            raise _RowError(f"{message}; give each column its cell")
        return fields

    def _check_unnamed(self, cells: list[str]) -> None:
        for column, (name, cell) in enumerate(zip(self.names, cells, strict=False), 1):
            if cell and not name:
                raise _RowError(f"cell {column} has no name in the header; name the column")


def _header(cells: list[str], *, needs_prompt: bool) -> _Header:
    """Check the header line. Raises _RowError."""
    stripped = [cell.strip() for cell in cells]
    names = tuple(name.lower() if name.lower() in _BUILT_IN else name for name in stripped)
    twice = [name for name, times in Counter(names).items() if name and times > 1]
    if twice:
        raise _RowError(f'the header names "{twice[0]}" twice; rename or remove one column')
    if needs_prompt and "prompt" not in names:
        found = ", ".join(f'"{name}"' for name in names)
        raise _RowError(f'the header has no column "prompt"; it has {found}')
    return _Header(names, needs_prompt, "" in names)


def _rows(
    records: Iterator[_Record | Problem], label: str, *, needs_prompt: bool
) -> Iterator[Row | Problem]:
    """Turn records into rows; the first one is the header, without which nothing can be read."""
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
        assert match, "the pattern matches the empty string"  # noqa: S101  # tells mypy as much
        end = match.end()
        quoted, bare = match.groups()
        if quoted is None and bare.startswith('"') and bare.count('"') % 2:
            message = f"cell {len(cells) + 1} begins with a quote that is not closed in this line"
            remedy = 'write a quote that is text as """", and cells of several lines as CSV'
            raise _RowError(f"{message}; {remedy}")
        cells.append(bare if quoted is None else quoted.replace('""', '"'))
    return cells


class _Feed:
    """Hands lines to csv.reader and keeps those of the record under way, to tell of its quotes.

    begins: set by the reader's user when a record is complete.
    overflowed: the record grew beyond MAX_ROW_BYTES, and no more lines are given.
    """

    def __init__(self, lines: Iterator[str]) -> None:
        self.begins = True
        self.overflowed = False
        self._lines = lines
        self._held: list[str] = []
        self._size = 0

    def __iter__(self) -> Iterator[str]:
        for line in self._lines:
            if self.begins:
                self.begins = False
                self._held = [line]
                self._size = len(line)
            else:
                self._held.append(line)
                self._size += len(line)
                if self._size > MAX_ROW_BYTES:
                    self.overflowed = True
                    return
            yield line

    def held(self) -> str:
        """Return the text of the record under way."""
        return "".join(self._held)


def _csv_records(lines: TextLines, label: str) -> Iterator[_Record | Problem]:
    # The limit is the process's, so it is only ever raised; _Feed holds records to theirs.
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_ROW_BYTES))
    text = iter(lines)
    skipped, first = _first_line(text, lines)
    delimiter = _delimiter(first)
    feed = _Feed(chain([first], text))
    reader = csv.reader(feed, delimiter=delimiter, strict=True)
    while True:
        line = skipped + reader.line_num + 1
        feed.begins = True
        try:
            cells = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            yield from lines.take_problems()
            yield _csv_problem(error, feed, Problem(label, line, ""), delimiter)
        else:
            if lines.problems:
                yield from lines.take_problems()
            else:
                yield line, cells
    yield from lines.take_problems()


def _first_line(text: Iterator[str], lines: TextLines) -> tuple[int, str]:
    """Return the header's line, and how many blank ones stand before it."""
    for skipped, line in enumerate(text):
        if lines.problems or not line.isspace():
            return skipped, line
    return 0, ""


def _delimiter(header: str) -> str:
    candidates = (mark for mark in ",;\t" if mark in header)
    return next(candidates, ",")


def _csv_problem(error: csv.Error, feed: _Feed, record: Problem, delimiter: str) -> Problem:
    """Tell a csv.Error in plain words, at the line where the quote in question was opened."""
    if "new-line character" in str(error):
        message = "a bare carriage return stands in the row; save the file with LF line ends"
        return Problem(record.file, record.line, message)
    text = feed.held()
    opened = _last_opening(text, delimiter)
    line = record.line + text.count("\n", 0, opened)
    remedy = 'close it, or write quotes that are text twice ("")'
    if feed.overflowed:
        reason = f"the cell quoted from here on does not end within {MAX_ROW_TEXT}; {remedy}"
    elif "unexpected end" in str(error):
        reason = f"the quote opened in this line is never closed; {remedy}"
    elif "expected after" in str(error):
        reason = f"text follows the closing quote of a cell that begins here; {remedy}"
    else:
        reason = str(error)
    return Problem(record.file, line, reason)


def _last_opening(text: str, delimiter: str) -> int:
    """Return where the last quoted cell of a broken record begins: the one that broke it."""
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
