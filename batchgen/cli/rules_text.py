"""The decision table as text and JSON, for `plan --rules`."""

import textwrap
from collections.abc import Iterator, Sequence

from batchgen.engine.decisions import BUILT_IN, describe, describe_rules
from batchgen.types import Json, Rule

_WIDTH = 80
_KIND_WIDTH = 16


def rules_lines(rules: Sequence[Rule]) -> Iterator[str]:
    """Yield the rules of the job and the built-in table, at most 80 columns wide."""
    yield "The first match decides. What it means: docs/decisions.md"
    if rules:
        yield ""
        yield "rules of the job:"
        yield from _lines(describe_rules(rules))
    yield ""
    yield "built-in table:"
    yield from _lines(describe(BUILT_IN))


def rules_json(rules: Sequence[Rule]) -> dict[str, Json]:
    """Return `{"rules": […], "built_in": […]}`, each with `when`, `then` and `kind`."""
    return {"rules": _rows(describe_rules(rules)), "built_in": _rows(describe(BUILT_IN))}


def _lines(described: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    for condition, action, kind in described:
        yield from textwrap.wrap(
            f"{kind.ljust(_KIND_WIDTH)}{action}: {condition}",
            _WIDTH,
            initial_indent="  ",
            subsequent_indent=" " * (_KIND_WIDTH + 4),
            break_on_hyphens=False,
        )


def _rows(described: Sequence[tuple[str, str, str]]) -> list[Json]:
    return [
        {"when": condition, "then": action, "kind": kind} for condition, action, kind in described
    ]
