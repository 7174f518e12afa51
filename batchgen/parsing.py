"""An argument parser that says what was probably meant."""

import argparse
import re
from collections.abc import Sequence
from typing import NoReturn

from batchgen.text import did_you_mean

_INVALID_CHOICE = re.compile(r"invalid choice: '([^']*)'")


class Parser(argparse.ArgumentParser):
    """Says what was probably meant."""

    def parse_known_args(  # type: ignore[override]  # argparse's overloads say the same
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is not known here, where the options that were meant are known."""
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"unrecognized arguments: {' '.join(unknown)}")
        return found, []

    def error(self, message: str) -> NoReturn:
        meant = self._meant(message)
        super().error(f"{message}; did you mean {meant}?" if meant else message)

    def _meant(self, message: str) -> str | None:
        if choice := _INVALID_CHOICE.search(message):
            chosen = (action.choices for action in self._actions if action.choices is not None)
            return did_you_mean(choice[1], [str(word) for words in chosen for word in words])
        options = [word for action in self._actions for word in action.option_strings]
        flags = (word.partition("=")[0] for word in message.split() if word.startswith("--"))
        return next((near for flag in flags if (near := did_you_mean(flag, options))), None)
