"""A stream that the telling of a run goes to."""

import os
from collections.abc import Callable
from contextlib import suppress
from typing import TextIO


class Sink:
    """A text stream whose failure (a closed pipe, a full disk) ends the telling, not the run."""

    def __init__(self, stream: TextIO, *, owned: bool = False) -> None:
        self._stream = stream
        self._owned = owned
        self._dead = False

    @property
    def encoding(self) -> str:
        """By this tqdm decides whether it may draw with block characters."""
        return self._stream.encoding

    def write(self, text: str) -> None:
        self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, act: Callable[[], object]) -> None:
        if not self._dead:
            try:
                act()
            except OSError:
                self._dead = True

    def line(self, text: str) -> None:
        self.write(text + "\n")
        self.flush()

    def columns(self) -> int:
        """The terminal's width now; 80 where it has none."""
        with suppress(OSError, ValueError):
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        return 80

    def close(self) -> None:
        if self._owned:
            with suppress(OSError):
                self._stream.close()
