"""Request bodies as the bytes that go over the wire, files still in their places as files.

A body is a sequence of pieces: bytes as they are, and files that whoever sends it reads while
sending. Its length is known beforehand. Multipart is RFC 7578; `data:` URLs are RFC 2397.
"""

import asyncio
import binascii
import os
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import BinaryIO, TypeAlias

import msgspec

from batchgen.text import one_line
from batchgen.types import (
    Base64,
    FaultKind,
    HttpRequest,
    Input,
    LocalFile,
    NetworkFault,
)

_encode = msgspec.json.Encoder().encode
_HOLDERS = (LocalFile, Base64, tuple)


class InlineFile(msgspec.Struct, frozen=True):
    """A file that stands in a body; base64: as that, or else as it is."""

    file: LocalFile
    base64: bool

    @property
    def size_bytes(self) -> int:
        """What it comes to in the body."""
        size = self.file.size_bytes
        return 4 * -(-size // 3) if self.base64 else size


Piece: TypeAlias = bytes | InlineFile


class Body(msgspec.Struct, frozen=True):
    """A request's body: its type, and its pieces in their order."""

    content_type: str
    pieces: tuple[Piece, ...]

    @property
    def size_bytes(self) -> int:
        return sum(
            len(piece) if isinstance(piece, bytes) else piece.size_bytes for piece in self.pieces
        )


def body_of(request: HttpRequest) -> Body:
    """The body of a request; the same request always gives the same one."""
    if request.multipart:
        return _multipart(request.body)
    if not _may_hold_files(request.body):
        return Body("application/json", (_encode(request.body),))
    return Body("application/json", tuple(_joined(_json(request.body))))


def _may_hold_files(fields: Mapping[str, Input]) -> bool:
    for value in fields.values():
        if isinstance(value, _HOLDERS) or (isinstance(value, dict) and _may_hold_files(value)):
            return True
    return False


def _json(body: Mapping[str, Input]) -> Iterator[Piece]:
    yield b"{"
    for index, (name, value) in enumerate(body.items()):
        yield (b"," if index else b"") + _encode(name) + b":"
        yield from _json_value(value)
    yield b"}"


def _json_value(value: Input) -> Iterator[Piece]:
    if isinstance(value, LocalFile):
        yield f'"data:{value.media_type};base64,'.encode()
        yield InlineFile(value, base64=True)
        yield b'"'
    elif isinstance(value, Base64):
        yield b'"'
        yield InlineFile(value.file, base64=True)
        yield b'"'
    elif isinstance(value, dict):
        yield from _json(value)
    elif isinstance(value, tuple):
        yield b"["
        for index, one in enumerate(value):
            yield b"," if index else b""
            yield from _json_value(one)
        yield b"]"
    else:
        yield _encode(value)


def _joined(pieces: Iterator[Piece]) -> Iterator[Piece]:
    """The same pieces with neighbouring bytes made one."""
    text = b""
    for piece in pieces:
        if isinstance(piece, bytes):
            text += piece
        else:
            yield text
            yield piece
            text = b""
    yield text


def _multipart(body: Mapping[str, Input]) -> Body:
    fields = [(name, one) for name, value in body.items() for one in _repeated(value)]
    boundary = f"batchgen-{sha256(repr(fields).encode()).hexdigest()[:32]}"
    pieces: list[Piece] = []
    for name, value in fields:
        several = "[]" if isinstance(body[name], tuple) and len(_repeated(body[name])) > 1 else ""
        pieces += [f"--{boundary}\r\n".encode(), *_part(name + several, value), b"\r\n"]
    pieces.append(f"--{boundary}--\r\n".encode())
    content_type = f"multipart/form-data; boundary={boundary}"
    return Body(content_type, tuple(_joined(iter(pieces))))


def _repeated(value: Input) -> Sequence[Input]:
    return value if isinstance(value, tuple) else (value,)


def _part(name: str, value: Input) -> Iterator[Piece]:
    disposition = f'Content-Disposition: form-data; name="{_quoted(name)}"'
    if isinstance(value, LocalFile):
        filename = _quoted(value.path.name)
        yield (
            f'{disposition}; filename="{filename}"\r\nContent-Type: {value.media_type}\r\n\r\n'
        ).encode()
        yield InlineFile(value, base64=False)
    else:
        text = value if isinstance(value, str) else _encode(value).decode()
        yield f"{disposition}\r\n\r\n{text}".encode()


def _quoted(text: str) -> str:
    """As browsers write names into a form (WHATWG HTML, "Multipart form data")."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


_PIECE_BYTES = 3 * 128 * 1024  # a multiple of 3: base64 of pieces is the base64 of the whole


class ChangedFileError(Exception):
    """A file that cannot be sent as it was looked at."""


class Upload:
    """One sending of a body; every attempt takes a new one.

    fault: why a file could not be sent; whoever sends finds some error of the connection instead.
    """

    def __init__(self, body: Body) -> None:
        self._body = body
        self.fault: NetworkFault | None = None

    def data(self) -> bytes | AsyncIterator[bytes]:
        """What the client sends: bytes where no file is among them."""
        first, *others = self._body.pieces
        return first if isinstance(first, bytes) and not others else self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            for piece in self._body.pieces:
                if isinstance(piece, bytes):
                    yield piece
                else:
                    async for part in _parts(piece):
                        yield part
        except ChangedFileError as error:
            self.fault = NetworkFault(FaultKind.INPUT_FILE, str(error), sent=False)
            raise


async def _parts(piece: InlineFile) -> AsyncIterator[bytes]:
    """The bytes of a file as they are sent; the last of them only when all of them are right."""
    name = one_line(piece.file.name, 120)
    digest = sha256()
    held = b""
    try:
        with await asyncio.to_thread(_open, piece) as file:
            while part := await asyncio.to_thread(file.read, _PIECE_BYTES):
                digest.update(part)
                yield held
                held = binascii.b2a_base64(part, newline=False) if piece.base64 else part
    except OSError as error:
        reason = error.strerror or str(error)
        told = f"the file {name} cannot be read any more: {reason}; {piece.file.remedy}"
        raise ChangedFileError(told) from error
    if digest.hexdigest() != piece.file.sha256:
        raise ChangedFileError(_changed(piece.file))
    yield held


def _open(piece: InlineFile) -> BinaryIO:
    file = piece.file.path.open("rb")
    if os.fstat(file.fileno()).st_size != piece.file.size_bytes:
        file.close()
        raise ChangedFileError(_changed(piece.file))
    return file


def _changed(file: LocalFile) -> str:
    name = one_line(file.name, 120)
    return f"the file {name} is not the one that was checked any more; {file.remedy}"
