"""What each command does, from parsed arguments to an exit code: `NAME_command` of module NAME.

A command's module is imported when it is asked for, so that none waits for what only others need.
"""

import argparse
from collections.abc import Callable
from importlib import import_module

_ENDING = "_command"


def __getattr__(name: str) -> Callable[[argparse.Namespace], int]:
    if not name.endswith(_ENDING):
        raise AttributeError(name)
    command: Callable[[argparse.Namespace], int]
    command = getattr(import_module(f"{__name__}.{name.removesuffix(_ENDING)}"), name)
    return command
