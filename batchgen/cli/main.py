"""The entry point: parse the arguments, call the command, turn errors into exit codes."""

import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress

from batchgen.cli.parser import parser
from batchgen.cli.streams import prepare_streams
from batchgen.errors import BatchgenError, Exit, StorageError, from_os_error

_EMPTY_VALUE = re.compile(r"--[a-z-]+=")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these words, or those of the process; return its exit code."""
    prepare_streams()
    words = sys.argv[1:] if argv is None else argv
    root = parser()
    if any(word == "" or _EMPTY_VALUE.fullmatch(word) for word in words):
        root.error("a value is empty: is a variable unset?")
    arguments = root.parse_args(words)
    arguments.words = tuple(words)
    try:
        code = int(arguments.call(arguments))
        sys.stdout.flush()
    except BatchgenError as error:
        return _report(error)
    except KeyboardInterrupt:
        return int(Exit.INTERRUPTED)
    except BrokenPipeError:
        # The reader of standard output has ended, as in `batchgen results DIR | head`.
        discard_stdout()
        return int(Exit.OK)
    except OSError as error:
        discard_stdout()
        return _report(from_os_error(error))
    except MemoryError:
        return _report(StorageError("there is not enough memory: allow more (`ulimit -v`)"))
    return code


def discard_stdout() -> None:
    """Discard further output, also what the interpreter flushes when it ends."""
    with suppress(OSError):  # no more files may be open
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _report(error: BatchgenError) -> int:
    with suppress(OSError):
        sys.stderr.write(f"batchgen: {error}\n")
        sys.stderr.flush()
    return int(error.exit_code)
