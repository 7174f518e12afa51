"""Paid replies that could not be used: kept in DIR/.batchgen/replies, and read again later.

Write order: the file is written and synced before the outcome of its task is committed. After a
crash between the two, the task is `unknown`; the next run takes the file as its reply.
"""

import asyncio
import io
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import msgspec

from batchgen.errors import write_error
from batchgen.http.message_file import read_message, write_message
from batchgen.storage.files import Folder, UnsafePathError
from batchgen.types import HttpResponse, SinkFactory, Spooled, Task

FOLDER = ".batchgen/replies"
_NAME = re.compile(r"([0-9a-f]{32})\.v([1-9][0-9]{0,6})\.([0-9]{1,6})\.http")


class KeptReply(msgspec.Struct, frozen=True):
    """The request that a kept reply answers: the task's key, its version, and its part from 0."""

    key: str
    generation: int
    part: int

    @property
    def path(self) -> str:
        """Return the path of the file, relative to the output directory."""
        return f"{FOLDER}/{self.key}.v{self.generation}.{self.part}.http"


class KeptReplies:
    """The kept replies of an output directory."""

    def __init__(self, root: Path, open_sink: SinkFactory) -> None:
        self._root = root
        self._folder = Folder(root)
        self._open_sink = open_sink

    async def keep(self, task: Task, generation: int, part: int, reply: HttpResponse) -> str:
        """Write a reply to its file, durably; return the path. Raises StorageError."""
        kept = KeptReply(task.key, generation, part)
        await asyncio.to_thread(self._write, kept.path, reply)
        return kept.path

    async def read(self, path: str) -> HttpResponse | None:
        """Return a kept reply, with its payloads in sinks.

        None if the file is gone, was cut, or is not a kept reply. Raises StorageError.
        """
        return await asyncio.to_thread(self._read, path)

    def found(self) -> Iterator[KeptReply]:
        """Yield what the files in the folder answer. Raises StorageError."""
        try:
            with self._folder.open_folder(FOLDER) as handle:
                names = os.listdir(handle)
        except FileNotFoundError:
            return
        except OSError as error:
            raise write_error(self._root / FOLDER, error) from error
        for name in names:
            if match := _NAME.fullmatch(name):
                yield KeptReply(match[1], int(match[2]), int(match[3]))

    def remove(self, path: str) -> None:
        """Remove a reply whose result is stored; harmless if it is gone."""
        if _is_kept(path):
            with suppress(FileNotFoundError):
                self._folder.remove(path)

    def _write(self, path: str, reply: HttpResponse) -> None:
        try:
            self._folder.replace(path, write_message(reply, _open_payload))
            self._folder.sync(FOLDER)
        except OSError as error:
            raise write_error(self._root / path, error) from error

    def _read(self, path: str) -> HttpResponse | None:
        if not _is_kept(path):
            return None
        try:
            with self._folder.open_to_read(path) as file:
                return read_message(file, self._open_sink)
        except (OSError, UnsafePathError):
            return None


def _is_kept(path: str) -> bool:
    """Return whether a path of the ledger is that of a kept reply, and not of another file."""
    folder, _, name = path.rpartition("/")
    return folder == FOLDER and _NAME.fullmatch(name) is not None


def _open_payload(payload: Spooled) -> BinaryIO:
    if payload.data is not None:
        return io.BytesIO(payload.data)
    return open(payload.path, "rb")  # the caller closes it
