"""A row with what its job adds to it: defaults, then the `from:` item, then the row itself."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

import msgspec

from batchgen.job import OWN_KEYS
from batchgen.job.canonical import canonical, shown
from batchgen.types import Json, Row

MAX_COPIES = 10_000
_NONE: Mapping[str, Json] = MappingProxyType({})


class RowError(ValueError):
    """What is wrong with a row; the message says what would be right."""


class Fields(msgspec.Struct, frozen=True):
    """A row's fields, merged and of the right shapes; nothing is rendered yet.

    given: every field; the row beats the item, the item the defaults. A null takes a default away.
    own: names that the row or its item gives, variables among them: no axis varies those.
    variables: what `vars` of the three come to.
    inner_prompt: the row's own prompt where the item's is a template over it.
    listed: the row is one of a list (CSV, JSONL, ...), whose other columns are variables.
    """

    row: Row
    given: Mapping[str, Json]
    own: AbstractSet[str]
    variables: Mapping[str, Json]
    copies: int
    row_prompt: str | None
    from_file: bool

    def text(self, name: str) -> str | None:
        """A field of OWN_KEYS that is a text; None where it is not given."""
        value = self.given.get(name)
        return value if isinstance(value, str) else None


def merge(row: Row, entry: Mapping[str, Json] | None, defaults: Mapping[str, Json]) -> Fields:
    """Merge the layers; raises RowError, or UnsoundError for what nothing could hold."""
    item = _without_nulls(entry) if entry else {}
    own = _without_nulls(row.fields)
    if item:
        own = {**item, **own}
    row_prompt = None
    if "prompt" in item:
        prompt = row.fields.get("prompt")
        row_prompt = prompt if isinstance(prompt, str) else None
        own = {**own, "prompt": item["prompt"]}
    given = {**defaults, **own} if defaults else own
    if item or defaults or not row.textual:  # a cell that could be read is a sound text
        canonical(dict(given))
        _check_shapes(given)
    names: AbstractSet[str] = own.keys()
    variables = _NONE
    if given.get("vars") is not None:
        set_here = {**_variables(item), **_variables(row.fields)}
        names = own.keys() | set_here.keys()
        variables = {**_variables(defaults), **set_here}
    copies = _copies(given.get("repeat"))
    return Fields(row, given, names, variables, copies, row_prompt, entry is not None)


def _without_nulls(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    """A null under one of OWN_KEYS is as good as no key; elsewhere it takes a default away."""
    if None not in fields.values():
        return fields
    return {
        name: value for name, value in fields.items() if value is not None or name not in OWN_KEYS
    }


def _check_shapes(given: Mapping[str, Json]) -> None:
    for name in ("prompt", "model", "filename"):
        value = given.get(name)
        if value is not None and not isinstance(value, str):
            raise RowError(f"`{name}` is {shown(value)}, not a text; put it in quotes")
    task_id = given.get("id")
    if task_id is not None and (isinstance(task_id, bool | list | dict) or task_id == ""):
        raise RowError(f"`id` is {shown(task_id)}, not a text")


def _variables(layer: Mapping[str, Json]) -> dict[str, Json]:
    variables = layer.get("vars")
    if variables is None:
        return {}
    if not isinstance(variables, dict):
        raise RowError(f"`vars` is {shown(variables)}, not a mapping of names to values")
    return variables


def _copies(value: Json) -> int:
    if value is None:
        return 1
    if (
        isinstance(value, str)
        and value.isascii()
        and value.isdigit()
        and len(value) <= len(str(MAX_COPIES))
    ):
        value = int(value)
    if type(value) is not int or not 1 <= value <= MAX_COPIES:
        raise RowError(f"`repeat` is {shown(value)}; it is a whole number from 1 to {MAX_COPIES:,}")
    return value
