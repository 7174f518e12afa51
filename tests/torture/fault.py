"""Fault injection: the process kills itself with SIGKILL before or after a given call."""

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
    """The call that kills the process.

    place: as in `crash_points.CrashPoint`. call: the number of that call, from 1.
    after: whether the process is killed after the call instead of before it.
    """

    place: str
    call: int
    after: bool


def inject(fault: Fault) -> None:
    """Replace the function at `fault.place` by one that kills this process."""
    kill = _killer(fault.call)
    if fault.place == COMMIT:
        _inject_at_commit(kill, after=fault.after)
        return
    module, _, path = fault.place.partition(":")
    owner: Any = importlib.import_module(module)
    *parents, name = path.split(".")
    for parent in parents:
        owner = getattr(owner, parent)
    setattr(owner, name, _killing(getattr(owner, name), kill, after=fault.after))


def _killer(call: int) -> Callable[[], None]:
    """Return a function that kills this process when it is called for the `call`-th time."""
    calls: Iterator[int] = count(1)

    def kill() -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)

    return kill


def _killing(step: Callable[..., Any], kill: Callable[[], None], *, after: bool) -> Any:
    """Return the step with `kill` called before or after it."""
    if inspect.iscoroutinefunction(step):

        @functools.wraps(step)
        async def awaited(*values: Any, **named: Any) -> Any:
            if not after:
                kill()
            result = await step(*values, **named)
            if after:
                kill()
            return result

        return awaited

    @functools.wraps(step)
    def called(*values: Any, **named: Any) -> Any:
        if not after:
            kill()
        result = step(*values, **named)
        if after:
            kill()
        return result

    return called


def _inject_at_commit(kill: Callable[[], None], *, after: bool) -> None:
    """Kill at the COMMIT of a transaction with an outcome, on any connection."""

    class Connection(sqlite3.Connection):
        holds_outcome = False

        def execute(self, statement: str, *values: Any) -> sqlite3.Cursor:
            self.holds_outcome = self.holds_outcome or statement == sql.OUTCOME
            ending = statement == "COMMIT" and self.holds_outcome
            if ending and not after:
                kill()
            cursor = super().execute(statement, *values)
            if ending:
                self.holds_outcome = False
                if after:
                    kill()
            return cursor

        def executemany(self, statement: str, values: Any) -> sqlite3.Cursor:
            self.holds_outcome = self.holds_outcome or statement == sql.OUTCOME
            return super().executemany(statement, values)

    sqlite3.connect = functools.partial(sqlite3.connect, factory=Connection)  # type: ignore[assignment]  # in this process only
