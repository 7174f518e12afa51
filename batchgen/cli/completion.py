"""`batchgen completion`: print the script that completes commands and options in a shell."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from batchgen.errors import Exit

_DIRECTORIES = frozenset({"DIR", "OUT"})
_FILES = frozenset({"FILE", "MANIFEST"})


def completion_command(arguments: argparse.Namespace) -> int:
    """Print the completion script for a shell."""
    import shtab  # noqa: PLC0415  # only this command needs it

    root: argparse.ArgumentParser = arguments.root
    for action in _actions(root):
        if action.metavar in _DIRECTORIES:
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]  # the attribute that shtab reads
        elif action.metavar in _FILES or action.type is Path:
            action.complete = shtab.FILE  # type: ignore[attr-defined]  # as above
    sys.stdout.write(shtab.complete(root, shell=arguments.shell) + "\n")
    return Exit.OK


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:  # noqa: SLF001  # argparse has no public way to list them
        yield action
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001  # as above
            for command in action.choices.values():
                yield from _actions(command)
