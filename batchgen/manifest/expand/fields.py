"""The fields of a row, merged with the defaults of the job and the `from` entry of its file."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import MappingProxyType

import msgspec

from batchgen.job import OWN_KEYS
from batchgen.job.canonical import canonical, describe_value
from batchgen.types import Json, Row

MAX_COPIES = 10_000
_NONE: Mapping[str, Json] = MappingProxyType({})


class RowError(ValueError):
    """A row cannot be used; the message says why, and what to do."""


class Fields(msgspec.Struct, frozen=True):
    """A row's merged fields, with checked types; templates are not rendered yet.

    merged: all fields; the row overrides the `from` entry, which overrides the defaults. A null
        removes a default.
    own: the names that the row or the entry sets, variables included; no axis varies them.
    variables: the merged `vars`.
    copies: the value of `repeat`.
    row_prompt: the row's own prompt, if the entry's prompt is a template over it.
    from_file: the row is from a list (CSV, JSONL, …), whose other columns are variables.
    """

    row: Row
    merged: Mapping[str, Json]
    own: AbstractSet[str]
    variables: Mapping[str, Json]
    copies: int
    row_prompt: str | None
    from_file: bool

    def text(self, name: str) -> str | None:
        """Return the value of a text field of OWN_KEYS; None if it is not given."""
        value = self.merged.get(name)
        return value if isinstance(value, str) else None


def merge(row: Row, entry: Mapping[str, Json] | None, defaults: Mapping[str, Json]) -> Fields:
    """Merge a row with its `from` entry and the defaults.

    Raise RowError for a field of the wrong type, UnstorableError for a value that cannot be stored.
    """
    entry_fields = _without_nulls(entry) if entry else {}
    own = _without_nulls(row.fields)
    if entry_fields:
        own = {**entry_fields, **own}
    row_prompt = None
    if "prompt" in entry_fields:
        prompt = row.fields.get("prompt")
        row_prompt = prompt if isinstance(prompt, str) else None
        own = {**own, "prompt": entry_fields["prompt"]}
    merged = {**defaults, **own} if defaults else own
    if entry_fields or defaults or not row.textual:  # a cell is always a valid text
        canonical(dict(merged))
        _check_types(merged)
    names: AbstractSet[str] = own.keys()
    variables = _NONE
    if merged.get("vars") is not None:
        own_variables = {**_variables(entry_fields), **_variables(row.fields)}
        names = own.keys() | own_variables.keys()
        variables = {**_variables(defaults), **own_variables}
    copies = _copies(merged.get("repeat"))
    return Fields(row, merged, names, variables, copies, row_prompt, entry is not None)


def _without_nulls(fields: Mapping[str, Json]) -> Mapping[str, Json]:
    """Return the fields without nulls under OWN_KEYS; any other null removes a default later."""
    if None not in fields.values():
        return fields
    return {
        name: value for name, value in fields.items() if value is not None or name not in OWN_KEYS
    }


def _check_types(merged: Mapping[str, Json]) -> None:
    for name in ("prompt", "model", "filename"):
        value = merged.get(name)
        if value is not None and not isinstance(value, str):
            raise RowError(f"`{name}` is {describe_value(value)}, not a text; put it in quotes")
    task_id = merged.get("id")
    if task_id is not None and (isinstance(task_id, bool | list | dict) or task_id == ""):
        raise RowError(f"`id` is {describe_value(task_id)}; it must be a text or a number")


def _variables(layer: Mapping[str, Json]) -> dict[str, Json]:
    variables = layer.get("vars")
    if variables is None:
        return {}
    if not isinstance(variables, dict):
        raise RowError(f"`vars` is {describe_value(variables)}, not a mapping of names to values")
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
        message = f"`repeat` is {describe_value(value)}; it must be a whole number"
        raise RowError(f"{message} from 1 to {MAX_COPIES:,}")
    return value
