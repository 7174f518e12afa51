"""What a person reads of the problems of a manifest."""

from collections.abc import Iterable, Iterator, Sequence

from batchgen.types import Problem, Severity

_SHOWN = 20


def problem_lines(counted: Sequence[tuple[Problem, int]], more: int = 0) -> Iterator[str]:
    """Problems for a person, each with how many there are like it; the first 20, and a count.

    Where there are more, those of one file that say the same are told together.
    more: problems that are not at hand.
    """
    if len(counted) > _SHOWN:
        counted = _grouped(counted)
    for problem, count in counted[:_SHOWN]:
        yield f"{problem} ({count - 1:,} more like this)" if count > 1 else str(problem)
    rest = sum(count for _, count in counted[_SHOWN:]) + more
    if rest:
        yield f"and {rest:,} more: `batchgen plan --json` lists them"


def _grouped(counted: Iterable[tuple[Problem, int]]) -> list[tuple[Problem, int]]:
    """The first of those that say the same of a file, with their count."""
    groups: dict[tuple[str, str, Severity], tuple[Problem, int]] = {}
    for problem, count in counted:
        alike = (problem.file, problem.message, problem.severity)
        first, before = groups.get(alike, (problem, 0))
        groups[alike] = first, before + count
    return list(groups.values())
