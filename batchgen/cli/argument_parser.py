"""An argument parser whose errors suggest what was probably meant."""

import argparse
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import NoReturn

from batchgen.text import did_you_mean

_INVALID_CHOICE = re.compile(r"argument (\S+): invalid choice: '([^']*)'")
_UNKNOWN = "unrecognized arguments: "
_OPTION_SIMILARITY = 0.7  # above the default: all options begin with two dashes


class Parser(argparse.ArgumentParser):
    """A parser that adds `did you mean ...?` to its errors."""

    _words: Sequence[str] = ()

    def parse_known_args(  # type: ignore[override]  # argparse's overloads say the same
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse the words of one command; exit with an error if one of them is unknown.

        argparse would leave this to the parser above, which does not know the command's options.
        """
        self._words = args or ()
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self.error(f"{_UNKNOWN}{' '.join(unknown)}")
        return parsed, []

    def error(self, message: str) -> NoReturn:
        if choice := _INVALID_CHOICE.search(message):
            meant = did_you_mean(choice[2], self._choices(choice[1]))
        elif message.startswith(_UNKNOWN):
            meant = self._similar_option(message.removeprefix(_UNKNOWN).split())
        else:
            super().error(message + self._taken_as_value(message))
        super().error(f"{message}; did you mean {meant}?" if meant else message)

    def _choices(self, name: str) -> list[str]:
        """Return the choices of the argument that argparse's messages call `name`."""
        for action in self._actions:
            action_name = "/".join(action.option_strings) or action.metavar or action.dest
            if action_name == name and action.choices is not None:
                return [str(choice) for choice in action.choices]
        return []

    def _similar_option(self, words: Sequence[str]) -> str | None:
        """Return the option that is most like the first unknown one; None if none is."""
        options = [word for action in self._actions for word in action.option_strings]
        flags = (word.partition("=")[0] for word in words if word.startswith("--"))
        similar = (did_you_mean(flag, options, nearness=_OPTION_SIMILARITY) for flag in flags)
        return next((option for option in similar if option), None)

    def _taken_as_value(self, message: str) -> str:
        """Return a hint if an option with an optional value has taken a required argument."""
        if "required: " not in message:
            return ""
        missing = message.rpartition("required: ")[2]
        optional = {
            option
            for action in self._actions
            if action.nargs == "?"
            for option in action.option_strings
        }
        for word, following in pairwise(self._words):
            if word in optional and not following.startswith("-"):
                return f"; {word} takes the word after it as its value: put {missing} first"
        return ""
