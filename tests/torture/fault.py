"""Has this process end itself by SIGKILL between two steps; the product knows nothing of it."""

import functools
import importlib
import inspect
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

import msgspec

from batchgen.storage.ledger import sql

COMMIT = "commit"


class Fault(msgspec.Struct, frozen=True):
    """place: as `instants.Instant` has it. turn: which call is the last, from 1."""

    place: str
    turn: int
    after: bool


def arm(fault: Fault) -> None:
    """From now on the step at `fault.place` is this process's last."""
    strike = _striker(fault.turn)
    if fault.place == COMMIT:
        _arm_commit(strike, after=fault.after)
        return
    module, _, path = fault.place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, _struck(getattr(owner, name), strike, after=fault.after))


def _striker(turn: int) -> Callable[[], None]:
    """Return what kills this process when it is called for that turn."""
    turns: Iterator[int] = count(1)

    def strike() -> None:
        if next(turns) == turn:
            os.kill(os.getpid(), signal.SIGKILL)

    return strike


def _struck(step: Callable[..., Any], strike: Callable[[], None], *, after: bool) -> Any:
    """The step with the strike before or after it; awaited where the step is."""
    if inspect.iscoroutinefunction(step):

        @functools.wraps(step)
        async def awaited(*values: Any, **named: Any) -> Any:
            if not after:
                strike()
            result = await step(*values, **named)
            if after:
                strike()
            return result

        return awaited

    @functools.wraps(step)
    def called(*values: Any, **named: Any) -> Any:
        if not after:
            strike()
        result = step(*values, **named)
        if after:
            strike()
        return result

    return called


def _arm_commit(strike: Callable[[], None], *, after: bool) -> None:
    """Strike at transactions that hold an outcome, on whichever connection."""

    class Connection(sqlite3.Connection):
        holds_outcome = False

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            self.holds_outcome = self.holds_outcome or statement == sql.OUTCOME
            ending = statement == "COMMIT" and self.holds_outcome
            if ending and not after:
                strike()
            cursor = super().execute(statement, *values)
            if ending:
                self.holds_outcome = False
                if after:
                    strike()
            return cursor

        def executemany(self, statement: str, values: Any) -> sqlite3.Cursor:
            self.holds_outcome = self.holds_outcome or statement == sql.OUTCOME
            return super().executemany(statement, values)

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]  # a test's own
