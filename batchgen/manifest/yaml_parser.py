"""YAML parser events of a manifest, with every failure as one Problem."""

from collections.abc import Generator
from typing import BinaryIO

import yaml
from yaml.events import Event
from yaml.reader import ReaderError

from batchgen.manifest.source import Source, open_binary
from batchgen.manifest.text import MAX_ROW_BYTES, MAX_ROW_TEXT
from batchgen.manifest.yaml_errors import explain
from batchgen.types import Problem

# PyYAML without libyaml has no C loader; its own is many times slower and otherwise the same.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class UnreadableError(Exception):
    """The rest of the document cannot be read."""

    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(str(problem))


def events(source: Source) -> Generator[Event, None, None]:
    """Parse a YAML manifest. Raises UnreadableError, and ManifestError as `open_binary` does."""
    with open_binary(source) as stream:
        bounded = _BoundedLines(stream, source.label)
        try:
            yield from yaml.parse(bounded, Loader=_LOADER)
        except yaml.MarkedYAMLError as error:
            line, message = explain(error)
            raise UnreadableError(Problem(source.label, line, message)) from error
        except ReaderError as error:
            line = _line_of_byte(source, error.position)
            raise UnreadableError(Problem(source.label, line, _no_text(error))) from error


class _BoundedLines:
    """A stream for the parser, which would hold a line of any length."""

    def __init__(self, stream: BinaryIO, label: str) -> None:
        self._stream = stream
        self._label = label
        self._line = 1
        self._begun_bytes = 0

    def read(self, size: int = -1, /) -> bytes:
        piece = self._stream.read(size)
        first, last = piece.find(b"\n"), piece.rfind(b"\n")
        if self._begun_bytes + (first if first >= 0 else len(piece)) > MAX_ROW_BYTES:
            message = f"the line is longer than {MAX_ROW_TEXT}, the most a row can be"
            raise UnreadableError(Problem(self._label, self._line, message))
        carried = self._begun_bytes if last < 0 else 0
        self._begun_bytes = carried + len(piece) - (last + 1)
        self._line += piece.count(b"\n")
        return piece


def _no_text(error: ReaderError) -> str:
    code = error.character if isinstance(error.character, int) else ord(error.character)
    if "UTF" in error.reason or "byte" in error.reason:
        # The octet told is then the one behind the bad character, or -1 at the end of the file.
        breaks_off = code < 0 or "trailing" in error.reason
        found = "a UTF-8 character breaks off" if breaks_off else f"byte 0x{code:02x} is not UTF-8"
        return f"{found}; save the file as UTF-8 (it may be in Latin-1 or a Windows code page)"
    return f"control character 0x{code:02x} in the text; remove it"


def _line_of_byte(source: Source, position: int) -> int:
    with open_binary(source) as stream:
        line = 1
        while position > 0 and (piece := stream.read(min(position, 1 << 18))):
            line += piece.count(b"\n")
            position -= len(piece)
    return line
