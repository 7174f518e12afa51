"""The stream that progress is written to."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO

from batchgen.text import printable


class Sink:
    """A text stream that ignores output after its first error (a closed pipe, a full disk).

    owned: whether `close` closes the stream.
    """

    def __init__(self, stream: TextIO, *, owned: bool = False) -> None:
        self._stream = stream
        self._owned = owned
        self._failed = False

    @property
    def encoding(self) -> str:
        """The stream's encoding; tqdm uses it to decide whether to draw block characters."""
        return self._stream.encoding

    def write(self, text: str) -> None:
        self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, operation: Callable[[], object]) -> None:
        if not self._failed:
            try:
                operation()
            except OSError:
                self._failed = True

    def line(self, text: str) -> None:
        """Write a line; control characters in it are escaped, as everywhere but in `write`."""
        self.write(printable(text) + "\n")
        self.flush()

    def columns(self) -> int:
        """Return the current width of the terminal; 80 if the stream is not a terminal."""
        with suppress(OSError, ValueError):
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        return 80

    def close(self) -> None:
        if self._owned:
            with suppress(OSError):
                self._stream.close()
