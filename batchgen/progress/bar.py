"""The progress bar of a terminal."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NoReturn

from batchgen.progress.counts import LOG_WIDTH, TextProgress
from batchgen.progress.sink import Sink
from batchgen.text import fit, one_line
from batchgen.types import Json

if TYPE_CHECKING:
    from tqdm import tqdm

_REDRAW_S = 0.1
_WIDTH_FOR_GRAPHIC = 100
_GRAPHIC = "|{bar:12}| "
_GRAPHIC_WIDTH = 15


class ProgressBar(TextProgress):
    """A tqdm line on a terminal, without colour; messages are printed above it.

    The line is cleared at the end, because the closing summary follows.
    """

    def __init__(self, sink: Sink, *, clock: Callable[[], float]) -> None:
        super().__init__(clock)
        self._sink = sink
        self._bar: tqdm[NoReturn] | None = None
        self._due = clock()

    def start(self, *, name: str, total: int) -> None:
        super().start(name=name, total=total)
        self._bar = _open_bar(self._sink, total)
        self.tick()

    def log(self, message: str) -> None:
        line = one_line(message, LOG_WIDTH)
        if self._bar is None:
            self._sink.line(line)
        else:
            self._bar.write(line, file=self._sink)

    def tick(self) -> None:
        if self._bar is None:
            return
        self._due = self._clock() + _REDRAW_S
        width = self._sink.columns() - 1  # some terminals wrap when the last column is filled
        graphic = width >= _WIDTH_FOR_GRAPHIC
        line = fit(self._status_line.fields(), width - _GRAPHIC_WIDTH if graphic else width)
        self._bar.ncols = width
        self._bar.n = self._status_line.done
        self._bar.bar_format = (_GRAPHIC if graphic else "") + "{desc}"
        self._bar.set_description_str(line, refresh=False)
        self._bar.refresh()

    def _changed(self) -> None:
        if self._clock() >= self._due:
            self.tick()

    def finish(self, summary: Mapping[str, Json]) -> None:  # noqa: ARG002  the caller prints it
        self.close()

    def close(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.close()
        self._sink.close()


def _open_bar(sink: Sink, total: int) -> "tqdm[NoReturn]":
    from tqdm import tqdm  # noqa: PLC0415  only a terminal needs it, and --help must start fast

    class QuietTqdm(tqdm):  # type: ignore[type-arg]  # cannot be subscripted at run time
        """tqdm without its monitor thread; a subclass leaves tqdm unchanged for others."""

        monitor_interval = 0

    QuietTqdm.set_lock(
        threading.RLock()
    )  # tqdm's default lock needs semaphores, which containers may lack
    return QuietTqdm(total=total, file=sink, leave=False, bar_format="{desc}", colour=None)
