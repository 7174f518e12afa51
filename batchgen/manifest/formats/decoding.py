"""Physical lines of a text manifest: decoded from UTF-8, and limited in length."""

import io
from collections.abc import Iterator
from typing import BinaryIO, TypeAlias

from batchgen.types import Problem

MAX_ROW_BYTES = 8 << 20
MAX_ROW_TEXT = f"{MAX_ROW_BYTES >> 20} MiB"

_PIECE_BYTES = 1 << 18
_BOM = b"\xef\xbb\xbf"
_UTF16_BOMS = (b"\xff\xfe", b"\xfe\xff")
_Block: TypeAlias = bytes | None


class TextLines:
    """Iterate over the lines of a stream as text, line ends included; hold one block at a time.

    problems: those of the line yielded last, or, after the last line, of the whole file. A line
        with problems is yielded too, with replacement characters, so that a reader of quoted
        cells finds the end of the record. The reader takes the problems and skips the row.
    """

    def __init__(self, stream: BinaryIO, label: str) -> None:
        self.problems: list[Problem] = []
        self._stream = stream
        self._label = label

    def __iter__(self) -> Iterator[str]:
        line = 0
        for line, block in _numbered_blocks(self._stream):
            if block is None:
                self._report(line, f"the line is longer than {MAX_ROW_TEXT}, the limit for a row")
                yield "\n"
            elif line == 1 and block.startswith(_UTF16_BOMS):
                self._report(1, "the file is UTF-16; save it as UTF-8")
                return
            else:
                yield from self._text(block.removeprefix(_BOM) if line == 1 else block, line)
        if not line:
            self._report(0, "the file is empty")

    def take_problems(self) -> list[Problem]:
        """Return the problems since the last call, and remove them from `problems`."""
        problems, self.problems = self.problems, []
        return problems

    def _text(self, block: bytes, line: int) -> Iterator[str]:
        """Decode a block in one call, which is far faster, or line by line if it has errors."""
        try:
            text = block.decode()
        except UnicodeDecodeError:
            return self._decode_lines(block, line)
        if "\0" in text:
            return self._decode_lines(block, line)
        return io.StringIO(text, newline="\n")

    def _decode_lines(self, block: bytes, line: int) -> Iterator[str]:
        for number, raw in enumerate(io.BytesIO(block), line):
            try:
                text = raw.decode()
            except UnicodeDecodeError as error:
                self._report(number, _not_utf8(raw, error.start))
                text = raw.decode(errors="replace")
            if "\0" in text:
                at = text.index("\0") + 1
                self._report(number, f"character {at} is a NUL byte; remove it")
            yield text.replace("\0", "")

    def _report(self, line: int, message: str) -> None:
        self.problems.append(Problem(self._label, line, message))


def _not_utf8(raw: bytes, at: int) -> str:
    return (
        f"byte {at + 1} of the line is 0x{raw[at]:02x}, which is not UTF-8; save the file as UTF-8"
        " (it may be in Latin-1 or a Windows code page)"
    )


def _numbered_blocks(stream: BinaryIO) -> Iterator[tuple[int, _Block]]:
    line = 1
    for block in _blocks(stream):
        yield line, block
        line += 1 if block is None else block.count(b"\n")


def _blocks(stream: BinaryIO) -> Iterator[_Block]:
    """Cut a stream at line ends; yield None for each line longer than MAX_ROW_BYTES.

    The pieces of a long line are joined once, at its end, so that the time stays linear.
    """
    parts: list[bytes] = []
    part_bytes = 0
    while piece := stream.read(_PIECE_BYTES):
        cut = piece.rfind(b"\n") + 1
        if cut:
            start = 0
            if part_bytes + piece.find(b"\n") > MAX_ROW_BYTES:
                yield None
                parts, start = [], piece.find(b"\n") + 1
            if block := b"".join((*parts, piece[start:cut])):
                yield block
            parts, part_bytes = [], 0
        part_bytes += len(piece) - cut
        parts = [] if part_bytes > MAX_ROW_BYTES else [*parts, piece[cut:]]
    if part_bytes > MAX_ROW_BYTES:
        yield None
    elif rest := b"".join(parts):
        yield rest
