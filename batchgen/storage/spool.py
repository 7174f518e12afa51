"""Holds a payload while it arrives: a small one in memory, a larger one in a temporary file.

Paths are plain texts: making a `Path` takes longer than what is done with it here.
"""

import hashlib
import os
from contextlib import suppress
from typing import BinaryIO

from batchgen.errors import write_error
from batchgen.types import Spooled

HEAD_BYTES = 4096
MEMORY_BYTES = 64 * 1024


class Spool:
    """Takes the bytes of one payload.

    path: of the temporary file, which must not exist yet. memory_bytes: the largest payload that
    has no file before it is published.
    """

    __slots__ = ("_file", "_hash", "_head", "_memory_bytes", "_path", "_size", "_small")

    def __init__(self, path: str, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._path = path
        self._memory_bytes = memory_bytes
        self._small: list[bytes] = []
        self._size = 0
        self._file: BinaryIO | None = None
        self._head = b""

    def write(self, data: bytes) -> None:
        """Append; raises StorageError when the disk is full."""
        self._size += len(data)
        if self._file is not None:
            self._append(self._file, data)
            return
        self._small.append(data)
        if self._size > self._memory_bytes:
            self._spill()

    def close(self) -> Spooled:
        """Everything is written; nothing is durable yet."""
        if self._file is None:
            data = self._small[0] if len(self._small) == 1 else b"".join(self._small)
            return Spooled(self._path, self._size, "", data[:HEAD_BYTES], data)
        self._file.close()
        return Spooled(self._path, self._size, self._hash.hexdigest(), self._head)

    def discard(self) -> None:
        """Let go of what was written; harmless when repeated."""
        self._small.clear()
        if self._file is not None:
            self._file.close()
            with suppress(OSError):
                os.unlink(self._path)

    def _spill(self) -> None:
        data = b"".join(self._small)
        self._small.clear()
        self._head = data[:HEAD_BYTES]
        self._hash = hashlib.sha256()
        try:
            self._file = open(self._path, "xb", buffering=0)  # noqa: SIM115  # `close` does
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
