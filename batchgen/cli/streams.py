"""The streams of the command: no text that is written to them controls the terminal.

Manifests, replies, file names and the environment may contain control characters. They are escaped
here, at the one place that all output passes, except what a command itself draws (`raw`).
"""

import io
import os
import re
import sys
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from batchgen.text import printable

_PART = re.compile(rb"[\xc0-\xff][\x80-\xbf]{0,2}\Z|\r\Z")  # of a character, or of a line's end
_CONTROL = re.compile(
    rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)|\xc2[\x80-\x9f]|\xd8\x9c"
    rb"|\xe2\x80[\x8e\x8f\xa8-\xae]|\xe2\x81[\xa6-\xa9]"
)


class PrintableStream:
    """A text stream that escapes control characters; all else is done by the stream `raw`."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        return self.raw.write(printable(text))

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self.raw, name)


class PrintableBytes(io.BufferedIOBase):
    """A binary stream of UTF-8 text that escapes control characters; `finish` ends it."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._rest = b""

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        new = bytes(cast("bytes", data))
        text = self._rest + new
        part = _PART.search(text)
        cut = part.start() if part else len(text)
        self._rest = text[cut:]
        self._file.write(_CONTROL.sub(_escape, text[:cut]))
        return len(new)

    def finish(self) -> None:
        """Write the part of a character that has not been written yet."""
        self._file.write(_CONTROL.sub(_escape, self._rest))
        self._rest = b""


def _escape(match: re.Match[bytes]) -> bytes:
    return printable(match[0].decode()).encode()


def prepare_streams() -> None:
    """Make both output streams accept every character, and escape those that are controls.

    A closed stream is replaced by /dev/null.
    """
    sys.stdout, sys.stderr = _prepared(sys.stdout), _prepared(sys.stderr)


def raw(stream: TextIO) -> TextIO:
    """Return the stream for what a command draws itself: a progress bar, a cleared screen."""
    return stream.raw if isinstance(stream, PrintableStream) else stream


def _prepared(stream: TextIO | None) -> TextIO:
    if stream is None:  # started with >&-
        stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # until the end of the process
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    return (
        stream if isinstance(stream, PrintableStream) else cast("TextIO", PrintableStream(stream))
    )
