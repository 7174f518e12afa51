"""PyYAML's parser events of a manifest, and its errors as Problems in plain words."""

from collections.abc import Generator
from typing import BinaryIO

import yaml
from yaml.events import CollectionEndEvent, CollectionStartEvent, Event
from yaml.reader import ReaderError

from batchgen.job.canonical import MAX_DEPTH
from batchgen.manifest.formats.decoding import MAX_ROW_BYTES, MAX_ROW_TEXT
from batchgen.manifest.formats.source import Source, open_binary
from batchgen.types import Problem

# PyYAML without libyaml has no C loader; the Python one is many times slower, otherwise equal.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep; use fewer levels"

# A part of PyYAML's message, and the message that replaces it.
_ADVICE = (
    ("maximum nesting depth", _TOO_DEEP),  # libyaml's own limit
    (
        "mapping values are not allowed",
        "`: ` is not allowed here; quote the text if it contains one, or fix the indentation",
    ),
    ("',' or ']'", "the list opened here by `[` is not closed, or a `,` is missing"),
    ("',' or '}'", "the mapping opened here by `{` is not closed, or a `,` is missing"),
    ("expected '-' indicator", "not an item of the list above; fix the indentation"),
    ("did not find expected key", "not a key of the mapping above; fix the indentation"),
    ("could not find expected ':'", "this key has no `: ` after it; quote it if it is text"),
    ("unexpected end of stream", "the quote opened here is never closed"),
    ("unknown escape", r"unknown escape in a double-quoted text; write `\\` for a backslash"),
    ("scanning an alias", "`*` starts an alias; quote the text if the star is part of it"),
    ("scanning an anchor", "`&` starts an anchor; quote the text if the sign is part of it"),
    ("tab character", "the line is indented with a tab; use spaces"),
    (
        "cannot start any token",
        "a value cannot start like this; indent with spaces, quote text that starts with @, % or `",
    ),
)
# PyYAML marks the end of the file or list for these; report where the list or quote begins.
_MARKED_AT_END = ("',' or ']'", "',' or '}'", "unexpected end of stream")


class UnreadableError(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def line_of(event: Event) -> int:
    """Return the line of an event's first character, from 1."""
    return event.start_mark.line + 1 if event.start_mark else 0


def events(source: Source) -> Generator[Event, None, None]:
    """Parse a YAML manifest. Raise UnreadableError, and ManifestError as `open_binary` does."""
    depth = 0
    with open_binary(source) as stream:
        try:
            for event in yaml.parse(_BoundedLines(stream, source.label), Loader=_LOADER):
                if isinstance(event, CollectionStartEvent):
                    depth += 1
                    if depth > MAX_DEPTH:  # the parser's time per level grows with the depth
                        raise UnreadableError(Problem(source.label, line_of(event), _TOO_DEEP))
                elif isinstance(event, CollectionEndEvent):
                    depth -= 1
                yield event
        except yaml.MarkedYAMLError as error:
            raise UnreadableError(Problem(source.label, *_explain(error))) from error
        except ReaderError as error:
            line = _line_of_byte(source, error.position)
            raise UnreadableError(Problem(source.label, line, _bad_character(error))) from error


class _BoundedLines:
    """A stream that limits the length of lines, because the parser does not."""

    def __init__(self, stream: BinaryIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._line = 1
        self._line_bytes = 0  # of the current line, in earlier reads

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        first, last = piece.find(b"\n"), piece.rfind(b"\n")
        if self._line_bytes + (first if first >= 0 else len(piece)) > MAX_ROW_BYTES:
            message = f"the line is longer than {MAX_ROW_TEXT}, the limit for a row"
            raise UnreadableError(Problem(self._label, self._line, message))
        carried = self._line_bytes if last < 0 else 0
        self._line_bytes = carried + len(piece) - (last + 1)
        self._line += piece.count(b"\n")
        return piece


def _explain(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Return the line (from 1; 0 if it is unknown) and the message for a parser error."""
    reason = f"{error.problem or ''} {error.context or ''}".strip()
    mark = error.problem_mark or error.context_mark
    if error.context_mark and any(part in reason for part in _MARKED_AT_END):
        mark = error.context_mark
    advice = (message for part, message in _ADVICE if part in reason)
    return (mark.line + 1 if mark else 0), next(advice, f"not valid YAML: {reason}")


def _bad_character(error: ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(error.character)
    if "UTF" in error.reason or "byte" in error.reason:
        # `code` is then the byte after the bad character, or -1 at the end of the file.
        is_cut = code < 0 or "trailing" in error.reason
        fault = "a UTF-8 character is incomplete" if is_cut else f"byte 0x{code:02x} is not UTF-8"
        return f"{fault}; save the file as UTF-8 (it may be in Latin-1 or a Windows code page)"
    return f"control character 0x{code:02x} in the text; remove it"


def _line_of_byte(source: Source, position: int) -> int:
    with open_binary(source) as stream:
        line = 1
        while position > 0 and (piece := stream.read(min(position, 1 << 18))):
            line += piece.count(b"\n")
            position -= len(piece)
    return line
