"""Standard output and standard error, which may be closed, full or of another encoding."""

import contextlib
import io
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from batchgen.cli.parser import parser
from batchgen.errors import BatchgenError, Exit, StorageError, from_os_error


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


_EMPTY_VALUE = re.compile(r"--[a-z-]+=")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    prepare_streams()
    words = sys.argv[1:] if argv is None else argv
    whole = parser()
    if any(word == "" or _EMPTY_VALUE.fullmatch(word) for word in words):
        whole.error("a value is empty: is a variable unset?")
    arguments = whole.parse_args(words)
    arguments.words = tuple(words)
    try:
        code = int(arguments.call(arguments))
        sys.stdout.flush()
    except BatchgenError as error:
        return _told(error)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:  # whoever read standard output has gone: `batchgen results DIR | head`
        drop_stdout()
        return int(Exit.OK)
    except OSError as error:
        drop_stdout()
        return _told(from_os_error(error))
    except MemoryError:
        return _told(StorageError("there is not enough memory: allow more (`ulimit -v`)"))
    return code


def _told(error: BatchgenError) -> int:
    with contextlib.suppress(OSError):
        sys.stderr.write(f"batchgen: {error}\n")
        sys.stderr.flush()
    return int(error.exit_code)
