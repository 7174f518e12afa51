"""Read the retry rules of a job file into rules of the decision table."""

from collections.abc import Mapping, Sequence
from typing import Any

from batchgen.job import keys
from batchgen.job.canonical import describe_value
from batchgen.job.keys import KeyPath, SectionReader
from batchgen.types import Json, Phase, Rule, Verb

# The phases of a rule that names none: it does not apply to downloads.
_API_PHASES = frozenset({Phase.SUBMIT, Phase.POLL})


def read_rules(values: Sequence[Json], reader: SectionReader) -> tuple[Rule, ...]:
    """Return the rules in order; invalid ones are left out and added to `reader` as problems."""
    rules = []
    for index, value in enumerate(values):
        path: KeyPath = ("retry", "rules", index)
        section: dict[str, Any] = reader.section(value, keys.RULE, path)
        if "then" not in section:
            reader.add_problem(path, "a rule needs `then`: retry, fail, refuse or halt")
            continue
        try:
            statuses = _statuses(section.get("status"))
        except ValueError as error:
            reader.add_problem((*path, "status"), f"`status`: {error}")
            continue
        rules.append(_rule(section, statuses))
    return tuple(rules)


def _rule(section: Mapping[str, Any], statuses: frozenset[int] | None) -> Rule:
    verb = Verb(section["then"])
    kinds = {Verb.RETRY: "server", Verb.REFUSE: "content_policy", Verb.HALT: "halted"}
    return Rule(
        verb=verb,
        kind=kinds.get(verb, "rule"),
        statuses=statuses,
        code=section.get("code"),
        text=(section["text"],) if "text" in section else (),
        model=section.get("model"),
        phases=frozenset({Phase(section["phase"])}) if "phase" in section else _API_PHASES,
        after_s=section.get("after"),
        attempts=section.get("attempts"),
    )


def _statuses(value: Json) -> frozenset[int] | None:
    """Return the statuses of `503`, `5xx` or a list of such; raise ValueError for others."""
    if value is None:
        return None
    if value == []:
        raise ValueError("the list is empty; name a status such as 503 or a class such as 5xx")
    statuses: set[int] = set()
    for item in value if isinstance(value, list) else [value]:
        word = str(item).lower()
        if len(word) == 3 and word[0] in "12345" and word[1:] == "xx":  # noqa: PLR2004  # 4xx
            statuses.update(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        elif word.isascii() and word.isdigit() and 100 <= int(word) <= 599:  # noqa: PLR2004  # HTTP
            statuses.add(int(word))
        else:
            raise ValueError(
                f"{describe_value(item)} is neither a status such as 503 nor a class such as 5xx"
            )
    return frozenset(statuses)
