"""Retry rules of a job file, as lines of the decision table."""

from collections.abc import Mapping, Sequence
from typing import Any

from batchgen.job import keys
from batchgen.job.canonical import describe_value
from batchgen.job.keys import Place, Reading
from batchgen.types import Json, Phase, Rule, Verb

_PROVIDER = frozenset({Phase.SUBMIT, Phase.POLL})  # a download is meant only where it is named


def read_rules(values: Sequence[Json], reading: Reading) -> tuple[Rule, ...]:
    """The rules in their order; what is wrong is left out and noted in `reading`."""
    rules = []
    for index, value in enumerate(values):
        place: Place = ("retry", "rules", index)
        found: dict[str, Any] = reading.section(value, keys.RULE, place)
        if "then" not in found:
            reading.complain(place, "a rule needs `then`: retry, fail, refuse or halt")
            continue
        try:
            statuses = _statuses(found.get("status"))
        except ValueError as error:
            reading.complain((*place, "status"), f"`status`: {error}")
            continue
        rules.append(_rule(found, statuses))
    return tuple(rules)


def _rule(found: Mapping[str, Any], statuses: frozenset[int] | None) -> Rule:
    verb = Verb(found["then"])
    kinds = {Verb.RETRY: "server", Verb.REFUSE: "content_policy", Verb.HALT: "halted"}
    return Rule(
        verb=verb,
        kind=kinds.get(verb, "rule"),
        statuses=statuses,
        code=found.get("code"),
        text=(found["text"],) if "text" in found else (),
        model=found.get("model"),
        phases=frozenset({Phase(found["phase"])}) if "phase" in found else _PROVIDER,
        after_s=found.get("after"),
        attempts=found.get("attempts"),
    )


def _statuses(value: Json) -> frozenset[int] | None:
    """The statuses that `503`, `5xx` or a list of such stands for."""
    if value is None:
        return None
    if value == []:
        raise ValueError("the list is empty; name a status such as 503 or a class such as 5xx")
    found: set[int] = set()
    for item in value if isinstance(value, list) else [value]:
        word = str(item).lower()
        if len(word) == 3 and word[0] in "12345" and word[1:] == "xx":  # noqa: PLR2004  # 4xx
            found.update(range(int(word[0]) * 100, int(word[0]) * 100 + 100))
        elif word.isascii() and word.isdigit() and 100 <= int(word) <= 599:  # noqa: PLR2004  # HTTP
            found.add(int(word))
        else:
            raise ValueError(
                f"{describe_value(item)} is neither a status such as 503 nor a class such as 5xx"
            )
    return frozenset(found)
