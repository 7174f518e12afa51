"""Physical lines of a text manifest: UTF-8, bounded in length, numbered by whoever counts them."""

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
    """The lines of a stream as text, each with its line end; nothing is held but one block.

    problems: what is wrong with the line given last, or, behind the last line, with the whole
        file. Such a line is given as well as it can be read, so that a reader of quoted cells
        keeps its place; whoever finds problems here takes them out and leaves the row.
    """

    def __init__(self, stream: BinaryIO, label: str) -> None:
        self.problems: list[Problem] = []
        self._stream = stream
        self._label = label

    def __iter__(self) -> Iterator[str]:
        line = 0
        for line, block in _numbered_blocks(self._stream):
            if block is None:
                self._report(line, f"the line is longer than {MAX_ROW_TEXT}, the most a row can be")
                yield "\n"
            elif line == 1 and block.startswith(_UTF16_BOMS):
                self._report(1, "the file is UTF-16, as its first bytes tell; save it as UTF-8")
                return
            else:
                yield from self._text(block.removeprefix(_BOM) if line == 1 else block, line)
        if not line:
            self._report(0, "the file is empty")

    def take_problems(self) -> list[Problem]:
        """Hand over the problems found since the last call."""
        taken, self.problems = self.problems, []
        return taken

    def _text(self, block: bytes, line: int) -> Iterator[str]:
        """Decode a block whole where that works, which is far quicker, else line by line."""
        try:
            text = block.decode()
        except UnicodeDecodeError:
            return self._repaired(block, line)
        if "\0" in text:
            return self._repaired(block, line)
        return io.StringIO(text, newline="\n")

    def _repaired(self, block: bytes, line: int) -> Iterator[str]:
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
    """Cut a stream at line ends; None stands for one line beyond MAX_ROW_BYTES.

    Pieces of an unfinished line are joined once, at its end: joining each would cost squares.
    """
    parts: list[bytes] = []
    held = 0
    while piece := stream.read(_PIECE_BYTES):
        cut = piece.rfind(b"\n") + 1
        if cut:
            start = 0
            if held + piece.find(b"\n") > MAX_ROW_BYTES:
                yield None
                parts, start = [], piece.find(b"\n") + 1
            if block := b"".join((*parts, piece[start:cut])):
                yield block
            parts, held = [], 0
        held += len(piece) - cut
        parts = [] if held > MAX_ROW_BYTES else [*parts, piece[cut:]]
    if held > MAX_ROW_BYTES:
        yield None
    elif rest := b"".join(parts):
        yield rest
