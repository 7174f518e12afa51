"""`batchgen completion`: what a shell needs to complete the command's words."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from batchgen.errors import Exit

_DIRECTORIES = frozenset({"DIR", "OUT"})
_FILES = frozenset({"FILE", "MANIFEST"})


def completion_command(arguments: argparse.Namespace) -> int:
    """`batchgen completion`: the script for a shell."""
    import shtab  # noqa: PLC0415  # for those who ask

    whole: argparse.ArgumentParser = arguments.whole
    for action in _actions(whole):
        if action.metavar in _DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # shtab's own mark
        elif action.metavar in _FILES or action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # as above
    sys.stdout.write(shtab.complete(whole, shell=arguments.shell) + "\n")
    return Exit.OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  # argparse offers no other way to walk them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # as above
            for command in action.choices.values():
                yield from _actions(command)
