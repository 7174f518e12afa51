"""Standard output and standard error, which may be closed, full or of another encoding."""

import io
import os
import sys
from contextlib import suppress
from pathlib import Path


def prepare_streams() -> None:
    """Every stream takes every prompt, whatever the locale; a closed one takes nothing."""
    if sys.stdout is None:  # started with >&-
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for good
    if sys.stderr is None:
        sys.stderr = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115  # for good
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def drop_stdout() -> None:
    """Nothing more is written there, not at the interpreter's end either."""
    with suppress(OSError):  # as where no more files may be open
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
