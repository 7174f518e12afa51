"""A request's body on its way out: files are read, encoded and held against their hash meanwhile.

Never more than one piece of a file stands in memory. A file whose bytes are not those that were
looked at before the run stops the request before its last piece: no provider has it whole then.
"""

import asyncio
import binascii
import os
from collections.abc import AsyncIterator
from hashlib import sha256
from typing import BinaryIO

from batchgen.encoding import Body, InlineFile
from batchgen.text import one_line
from batchgen.types import FaultKind, LocalFile, NetworkFault

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
