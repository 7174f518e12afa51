"""The decision table for people: each entry and rule as its condition, its action and its kind."""

from collections.abc import Iterable

from batchgen.engine.decisions.entry import (
    ANY_SERVER,
    CLIENT,
    ERROR,
    OK,
    REDIRECT,
    SERVER,
    UNASSIGNED,
    Entry,
)
from batchgen.types import Rule

_CLASSES = (
    (ERROR, "4xx, 5xx"), (ANY_SERVER, "5xx"), (SERVER, "5xx except 501"), (CLIENT, "4xx"),
    (REDIRECT, "3xx"), (OK, "2xx"), (UNASSIGNED, "6xx to 9xx"),
)  # fmt: skip
_MAX_TEXTS = 4


def describe(entries: Iterable[Entry]) -> list[tuple[str, str, str]]:
    """Return each entry for people: its condition, its action and its kind."""
    return [(_condition(entry), _action(entry), entry.kind) for entry in entries]


def describe_rules(rules: Iterable[Rule]) -> list[tuple[str, str, str]]:
    """Return each rule of the job for people: its condition, its action and its kind."""
    return [(_rule_condition(rule), _rule_action(rule), rule.kind) for rule in rules]


def _condition(entry: Entry) -> str:
    parts = [entry.about]
    where = [_statuses(entry.statuses)] if entry.statuses is not None else []
    where += sorted(entry.faults) if entry.faults is not None else []
    if where:
        parts.append(" or ".join(where))
    if entry.code_of is not None:
        parts.append(f"by a code such as {_quoted(entry.code_of.code_examples)}")
    if entry.words_of is not None:
        parts.append(f"by words such as {_quoted(entry.words_of.word_examples)}")
    if entry.also_words_of is not None:
        parts.append(f"and by words such as {_quoted(entry.also_words_of.word_examples)}")
    if entry.except_words_of is not None:
        parts.append(f"without words such as {_quoted(entry.except_words_of.word_examples)}")
    return ", ".join([*parts, *_phases(entry.phases)])


def _quoted(examples: Iterable[str]) -> str:
    return ", ".join(f"`{example}`" for example in examples)


def _action(entry: Entry) -> str:
    parts = [str(entry.verb)]
    if entry.attempts is not None:
        parts.append(f"at most {entry.attempts} attempts")
    if entry.probe:
        parts.append("one request of the model tries, the others wait")
    elif entry.hold:
        parts.append("all workers of the model wait")
    if entry.halt_after is not None:
        parts.append(f"{entry.halt_after} in a row of one model halt")
    return ", ".join(parts)


def _rule_condition(rule: Rule) -> str:
    kinds = [_statuses(rule.statuses)] if rule.statuses is not None else []
    kinds += sorted(rule.faults) if rule.faults is not None else []
    parts = [" or ".join(kinds) or "anything else"]
    if rule.code is not None:
        parts.append(f"code {rule.code}")
    if rule.text:
        texts = ", ".join(f"`{text}`" for text in rule.text[:_MAX_TEXTS])
        parts.append(f"containing {texts}{', …' if len(rule.text) > _MAX_TEXTS else ''}")
    if rule.model is not None:
        parts.append(f"model {rule.model}")
    return ", ".join([*parts, *_phases(rule.phases)])


def _rule_action(rule: Rule) -> str:
    parts = [str(rule.verb)]
    if rule.after_s is not None:
        parts.append(f"after {rule.after_s:g} s")
    if rule.attempts is not None:
        parts.append(f"at most {rule.attempts} attempts")
    return ", ".join(parts)


def _phases(phases: frozenset[str] | None) -> list[str]:
    return [] if phases is None else ["in " + " or ".join(sorted(phases))]


def _statuses(statuses: frozenset[int]) -> str:
    classes, rest = [], set(statuses)
    for members, name in _CLASSES:
        if members <= rest:
            classes.append(name)
            rest -= members
    return ", ".join([*map(str, sorted(rest)), *classes])
