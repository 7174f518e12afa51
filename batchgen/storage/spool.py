"""Buffers a payload while it arrives: in memory if it is small, else in a temporary file.

Paths are strings, because making a `Path` takes longer than all that is done with it here.
"""

import hashlib
import os
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from batchgen.errors import write_error
from batchgen.storage.files import create_new
from batchgen.types import Spooled

HEAD_BYTES = 4096
MEMORY_BYTES = 64 * 1024


class Spool:
    """A sink for the bytes of one payload.

    path: of the temporary file, which must not exist yet.
    create: creates it and returns its handle. remove: removes it.
    memory_bytes: the largest payload that stays in memory.
    """

    __slots__ = (
        "_chunks",
        "_create",
        "_file",
        "_hash",
        "_head",
        "_memory_bytes",
        "_path",
        "_remove",
        "_size",
    )

    def __init__(
        self,
        path: str,
        *,
        memory_bytes: int = MEMORY_BYTES,
        create: Callable[[str], int] = create_new,
        remove: Callable[[str], None] = os.unlink,
    ) -> None:
        self._path = path
        self._create = create
        self._remove = remove
        self._memory_bytes = memory_bytes
        self._chunks: list[bytes] = []
        self._size = 0
        self._file: BinaryIO | None = None
        self._head = b""

    def write(self, data: bytes) -> None:
        """Append bytes. Raises StorageError if they cannot be written."""
        self._size += len(data)
        if self._file is not None:
            self._append(self._file, data)
            return
        self._chunks.append(data)
        if self._size > self._memory_bytes:
            self._spill()

    def close(self) -> Spooled:
        """Return the payload; nothing is durable yet."""
        if self._file is None:
            data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
            return Spooled(self._path, self._size, "", data[:HEAD_BYTES], data)
        self._file.close()
        return Spooled(self._path, self._size, self._hash.hexdigest(), self._head)

    def discard(self) -> None:
        """Delete what was written; harmless when repeated."""
        self._chunks.clear()
        if self._file is not None:
            self._file.close()
            with suppress(OSError):
                self._remove(self._path)

    def _spill(self) -> None:
        data = b"".join(self._chunks)
        self._chunks.clear()
        self._head = data[:HEAD_BYTES]
        self._hash = hashlib.sha256()
        try:
            self._file = open(self._create(self._path), "wb", buffering=0)  # noqa: SIM115  # `close` does
        except OSError as error:
            raise write_error(self._path, error) from error
        self._append(self._file, data)

    def _append(self, file: BinaryIO, data: bytes) -> None:
        self._hash.update(data)
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except OSError as error:
            raise write_error(self._path, error) from error
