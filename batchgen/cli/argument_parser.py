"""An argument parser whose errors suggest what was probably meant."""

import argparse
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from batchgen.text import did_you_mean

_INVALID_CHOICE = re.compile(r"argument (\S+): invalid choice: '([^']*)'")
_UNKNOWN = "unrecognized arguments: "
_NEAR_OPTION = 0.7  # all begin with two dashes, which brings them nearer than they are


class Parser(argparse.ArgumentParser):
    """Says what was probably meant."""

    _words: Sequence[str] = ()

    def parse_known_args(  # type: ignore[override]  # argparse's overloads say the same
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Refuse what is not known here, where the options that were meant are known."""
        self._words = args or ()
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"{_UNKNOWN}{' '.join(unknown)}")
        return found, []

    def error(self, message: str) -> NoReturn:
        if choice := _INVALID_CHOICE.search(message):
            meant = did_you_mean(choice[2], self._choices(choice[1]))
        elif message.startswith(_UNKNOWN):
            meant = self._option(message.removeprefix(_UNKNOWN).split())
        else:
            super().error(message + self._swallowed(message))
        super().error(f"{message}; did you mean {meant}?" if meant else message)

    def _choices(self, name: str) -> list[str]:
        """The choices of an argument, by the name that messages have for it."""
        for action in self._actions:
            named = "/".join(action.option_strings) or action.metavar or action.dest
            if named == name and action.choices is not None:
                return [str(word) for word in action.choices]
        return []

    def _option(self, words: Sequence[str]) -> str | None:
        """The option that the first of the words was probably meant for."""
        options = [word for action in self._actions for word in action.option_strings]
        flags = (word.partition("=")[0] for word in words if word.startswith("--"))
        found = (did_you_mean(flag, options, nearness=_NEAR_OPTION) for flag in flags)
        return next((near for near in found if near), None)

    def _swallowed(self, message: str) -> str:
        """What may have taken the word that is missing: an option that goes without a value too."""
        if "required: " not in message:
            return ""
        missing = message.rpartition("required: ")[2]
        takers = {one for it in self._actions if it.nargs == "?" for one in it.option_strings}
        for word, following in pairwise(self._words):
            if word in takers and not following.startswith("-"):
                return f"; {word} takes the word after it: put {missing} first"
        return ""
