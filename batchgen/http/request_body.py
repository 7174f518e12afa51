"""Encode request bodies as JSON or multipart forms, and stream the files in them.

A body is a sequence of parts: bytes, and files that are read while the body is sent. Its length is
known beforehand. Multipart is RFC 7578; `data:` URLs are RFC 2397.
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
_FILE_HOLDERS = (LocalFile, Base64, tuple)


class InlineFile(msgspec.Struct, frozen=True):
    """A file in a body, encoded as base64 or unchanged."""

    file: LocalFile
    base64: bool

    @property
    def size_bytes(self) -> int:
        """The size in the body, as encoded."""
        size = self.file.size_bytes
        return 4 * -(-size // 3) if self.base64 else size


BodyPart: TypeAlias = bytes | InlineFile


class RequestBody(msgspec.Struct, frozen=True):
    """The body of a request: its content type, and its parts in order."""

    content_type: str
    parts: tuple[BodyPart, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of the whole body."""
        return sum(len(part) if isinstance(part, bytes) else part.size_bytes for part in self.parts)


def encode_body(request: HttpRequest) -> RequestBody:
    """Return the body of a request; equal requests have equal bodies."""
    if request.multipart:
        return _multipart(request.body)
    if not _may_hold_files(request.body):
        return RequestBody("application/json", (_encode(request.body),))
    return RequestBody("application/json", tuple(_joined(_json(request.body))))


def _may_hold_files(fields: Mapping[str, Input]) -> bool:
    for value in fields.values():
        if isinstance(value, _FILE_HOLDERS) or (isinstance(value, dict) and _may_hold_files(value)):
            return True
    return False


def _json(body: Mapping[str, Input]) -> Iterator[BodyPart]:
    yield b"{"
    for index, (name, value) in enumerate(body.items()):
        yield (b"," if index else b"") + _encode(name) + b":"
        yield from _json_value(value)
    yield b"}"


def _json_value(value: Input) -> Iterator[BodyPart]:
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
        for index, item in enumerate(value):
            yield b"," if index else b""
            yield from _json_value(item)
        yield b"]"
    else:
        yield _encode(value)


def _joined(parts: Iterator[BodyPart]) -> Iterator[BodyPart]:
    """Join neighbouring parts of bytes."""
    text = b""
    for part in parts:
        if isinstance(part, bytes):
            text += part
        else:
            yield text
            yield part
            text = b""
    yield text


def _multipart(body: Mapping[str, Input]) -> RequestBody:
    fields = [(name, item) for name, value in body.items() for item in _items(value)]
    boundary = f"batchgen-{sha256(repr(fields).encode()).hexdigest()[:32]}"
    parts: list[BodyPart] = []
    for name, value in fields:
        suffix = "[]" if len(_items(body[name])) > 1 else ""
        parts += [f"--{boundary}\r\n".encode(), *_form_field(name + suffix, value), b"\r\n"]
    parts.append(f"--{boundary}--\r\n".encode())
    content_type = f"multipart/form-data; boundary={boundary}"
    return RequestBody(content_type, tuple(_joined(iter(parts))))


def _items(value: Input) -> Sequence[Input]:
    return value if isinstance(value, tuple) else (value,)


def _form_field(name: str, value: Input) -> Iterator[BodyPart]:
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
    """Escape a name as browsers do (WHATWG HTML, "Multipart form data")."""
    return text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")


_CHUNK_BYTES = 3 * 128 * 1024  # a multiple of 3: chunks can be encoded as base64 one by one


class ChangedFileError(Exception):
    """A file that has changed since it was checked, or that cannot be read."""


class BodyStream:
    """Sends a body once; every attempt needs a new one.

    fault: why a file could not be sent. The client then reports only a connection error.
    """

    def __init__(self, body: RequestBody) -> None:
        self._body = body
        self.fault: NetworkFault | None = None

    def data(self) -> bytes | AsyncIterator[bytes]:
        """Return the data for the client: bytes if the body has no files."""
        first, *others = self._body.parts
        return first if isinstance(first, bytes) and not others else self._chunks()

    async def _chunks(self) -> AsyncIterator[bytes]:
        try:
            for part in self._body.parts:
                if isinstance(part, bytes):
                    yield part
                else:
                    async for chunk in _file_chunks(part):
                        yield chunk
        except ChangedFileError as error:
            self.fault = NetworkFault(FaultKind.INPUT_FILE, str(error), sent=False)
            raise


async def _file_chunks(part: InlineFile) -> AsyncIterator[bytes]:
    """Yield a file's chunks in their encoding; the last one only if the checksum is right."""
    digest = sha256()
    held_back = b""
    try:
        with await asyncio.to_thread(_open, part) as file:
            while chunk := await asyncio.to_thread(file.read, _CHUNK_BYTES):
                digest.update(chunk)
                yield held_back
                held_back = binascii.b2a_base64(chunk, newline=False) if part.base64 else chunk
    except OSError as error:
        name = one_line(part.file.name, 120)
        reason = error.strerror or str(error)
        message = f"cannot read the file {name} any more ({reason}); {part.file.remedy}"
        raise ChangedFileError(message) from error
    if digest.hexdigest() != part.file.sha256:
        raise ChangedFileError(_changed(part.file))
    yield held_back


def _open(part: InlineFile) -> BinaryIO:
    file = part.file.path.open("rb")
    if os.fstat(file.fileno()).st_size != part.file.size_bytes:
        file.close()
        raise ChangedFileError(_changed(part.file))
    return file


def _changed(file: LocalFile) -> str:
    name = one_line(file.name, 120)
    return f"the file {name} has changed since it was checked; {file.remedy}"
