"""What a person reads of the problems of a manifest."""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from batchgen.errors import BatchgenError
from batchgen.types import Problem, Severity

_SHOWN = 20
_LINES = 3


class ProblemGroup(msgspec.Struct):
    """Problems that say the same.

    count: how many there are. lines: where the next few stand, other than the first.
    """

    first: Problem
    count: int = 1
    lines: list[int] = msgspec.field(default_factory=list)

    def add(self, problem: Problem, count: int = 1) -> None:
        """Take in another one, which comes after those that are in it; count: with its likes."""
        self.count += count
        last = self.lines[-1] if self.lines else self.first.line
        if len(self.lines) < _LINES and problem.file == self.first.file and problem.line > last:
            self.lines.append(problem.line)

    def __str__(self) -> str:
        rest = self.count - 1 - len(self.lines)
        if not self.lines:
            return f"{self.first} ({rest:,} more like this)" if rest else str(self.first)
        shown = ", ".join(map(str, self.lines))
        return f"{self.first} (also at {shown}{f' and {rest:,} more' if rest else ''})"


def problem_lines(problems: Sequence[ProblemGroup], more: int = 0) -> Iterator[str]:
    """Problems for a person; the first 20, and a count.

    Where there are more, those of one file that say the same are told together.
    more: problems that are not at hand.
    """
    if len(problems) > _SHOWN:
        problems = _grouped(problems)
    yield from map(str, problems[:_SHOWN])
    rest = sum(one.count for one in problems[_SHOWN:]) + more
    if rest:
        yield f"and {rest:,} more: `batchgen plan --json` lists them"


def _grouped(problems: Iterable[ProblemGroup]) -> list[ProblemGroup]:
    groups: dict[tuple[str, str, Severity], ProblemGroup] = {}
    for one in problems:
        first = one.first
        name = first.file, first.message, first.severity
        if name in groups:
            groups[name].add(first, one.count)
        else:
            groups[name] = ProblemGroup(first, one.count, [*one.lines])
    return list(groups.values())


class RejectedError(BatchgenError):
    """A job or manifest with errors: nothing was sent."""

    def __init__(self, problems: Iterable[Problem], more: int = 0) -> None:
        self.problems = tuple(problems)
        errors = [one for one in self.problems if one.severity is Severity.ERROR]
        super().__init__("\n".join(problem_lines([ProblemGroup(error) for error in errors], more)))
