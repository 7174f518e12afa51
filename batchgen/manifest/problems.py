"""Problems of a manifest as lines for the terminal, and the error that carries them."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from batchgen.errors import BatchgenError
from batchgen.types import Problem, Severity

_MAX_MESSAGES = 20
_MAX_LINE_NUMBERS = 3


class ProblemGroup(msgspec.Struct):
    """Problems with the same message.

    first: the first of them. count: how many there are. lines: the lines of the next few, from 1.
    """

    first: Problem
    count: int = 1
    lines: list[int] = msgspec.field(default_factory=list)

    def add(self, problem: Problem, count: int = 1) -> None:
        """Add a problem that occurs `count` times and comes after those of the group."""
        self.count += count
        last = self.lines[-1] if self.lines else self.first.line
        is_next = problem.file == self.first.file and problem.line > last
        if is_next and len(self.lines) < _MAX_LINE_NUMBERS:
            self.lines.append(problem.line)

    def __str__(self) -> str:
        rest = self.count - 1 - len(self.lines)
        if not self.lines:
            return f"{self.first} ({rest:,} more like this)" if rest else str(self.first)
        numbers = ", ".join(map(str, self.lines))
        return f"{self.first} (also at {numbers}{f' and {rest:,} more' if rest else ''})"


def format_problems(groups: Sequence[ProblemGroup], omitted: int = 0) -> Iterator[str]:
    """Yield at most 20 messages, then the number of the others.

    If there are more than 20, equal messages of one file become one.
    omitted: the number of problems that `groups` does not contain.
    """
    if len(groups) > _MAX_MESSAGES:
        groups = _merge_equal(groups)
    yield from map(str, groups[:_MAX_MESSAGES])
    rest = sum(group.count for group in groups[_MAX_MESSAGES:]) + omitted
    if rest:
        yield f"and {rest:,} more: `batchgen plan --json` lists them"


def _merge_equal(groups: Iterable[ProblemGroup]) -> list[ProblemGroup]:
    merged: dict[tuple[str, str, Severity], ProblemGroup] = {}
    for group in groups:
        first = group.first
        key = first.file, first.message, first.severity
        if key in merged:
            merged[key].add(first, group.count)
        else:
            merged[key] = ProblemGroup(first, group.count, [*group.lines])
    return list(merged.values())


class RejectedError(BatchgenError):
    """A job or manifest has errors; nothing was sent.

    problems: the errors and warnings. omitted: the number of further errors.
    """

    def __init__(self, problems: Iterable[Problem], omitted: int = 0) -> None:
        self.problems = tuple(problems)
        groups = [
            ProblemGroup(problem) for problem in self.problems if problem.severity is Severity.ERROR
        ]
        super().__init__("\n".join(format_problems(groups, omitted)))
