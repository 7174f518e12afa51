"""Holds a payload while it arrives: a small one in memory, a larger one in a temporary file."""

import hashlib
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from batchgen.errors import unwritable
from batchgen.types import Spooled

HEAD_BYTES = 4096
MEMORY_BYTES = 64 * 1024


class Spool:
    """Takes the bytes of one payload.

    path: of the temporary file, which must not exist yet. memory_bytes: the largest payload that
    has no file before it is published.
    """

    def __init__(self, path: Path, *, memory_bytes: int = MEMORY_BYTES) -> None:
        self._path = path
        self._memory_bytes = memory_bytes
        self._small: list[bytes] = []
        self._size = 0
        self._file: BinaryIO | None = None
        self._head = b""
        self._hash = hashlib.sha256()

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
            data = b"".join(self._small)
            return Spooled(self._path, self._size, "", data[:HEAD_BYTES], data)
        self._file.close()
        return Spooled(self._path, self._size, self._hash.hexdigest(), self._head)

    def discard(self) -> None:
        """Let go of what was written; harmless when repeated."""
        self._small.clear()
        if self._file is not None:
            self._file.close()
            with suppress(OSError):
                self._path.unlink()

    def _spill(self) -> None:
        data = b"".join(self._small)
        self._small.clear()
        self._head = data[:HEAD_BYTES]
        try:
            self._file = self._path.open("xb", buffering=0)
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._append(self._file, data)

    def _append(self, file: BinaryIO, data: bytes) -> None:
        self._hash.update(data)
        try:
            view = memoryview(data)
            while view:
                view = view[file.write(view) :]
        except OSError as error:
            raise unwritable(self._path, error) from error
