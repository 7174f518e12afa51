"""The request schemas of the vendor's image models, and the script that writes them.

`python -m batchgen.simulator.specs FOLDER` reads the OpenAPI files of the vendor's documentation
from FOLDER and prints `specs.json`. Files that end in `@2025-05` are of that date, the others
current; a property that differs between them may have either form.
"""

import functools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from batchgen.simulator.requests.schema import Schema

Raw: TypeAlias = dict[str, Any]  # the vendor's own JSON, which only this module reads

DEFAULT_MODEL = "dall-e-2"  # OpenAI's, for requests that name none
_ROUTE = "/v1/images/generations"
_EDITS = "/v1/images/edits"
_OLD = "@2025-05"
_COUNTS = ("n", "num_images")
_NOTES = frozenset({"description", "title", "example", "additionalProperties"})
_MULTIPLE = re.compile(r"multiple of ([0-9]+)")
_SIDES = re.compile(r"between \[([0-9]+)x[0-9]+, ([0-9]+)x[0-9]+\]")
_DECODER = msgspec.json.Decoder(dict[str, dict[str, Schema]])


def specs() -> Mapping[str, Schema]:
    """Return the schema of every known image model by its id, without the property `model`."""
    return _read()["generations"]


def edit_specs() -> Mapping[str, Schema]:
    """Return the same for models that edit uploaded images."""
    return _read()["edits"]


@functools.cache
def _read() -> Mapping[str, Mapping[str, Schema]]:
    return _DECODER.decode(resources.files(__package__).joinpath("specs.json").read_bytes())


def written(folder: Path) -> str:
    """Return specs.json for a folder of OpenAPI files: one line per model."""
    parts = {"generations": _merged(folder, _ROUTE), "edits": _merged(folder, _EDITS)}
    return (
        "{\n" + ",\n".join(f'"{name}":{{\n{lines}\n}}' for name, lines in parts.items()) + "\n}\n"
    )


def _merged(folder: Path, route: str) -> str:
    merged: dict[str, Raw] = {}
    for model, schema in _schemas(folder, route):
        merged[model] = either(merged[model], schema) if model in merged else schema
    return ",\n".join(
        f"{json.dumps(model)}:{json.dumps(merged[model], separators=(',', ':'))}"
        for model in sorted(merged)
    )


def _schemas(folder: Path, route: str) -> Iterator[tuple[str, Raw]]:
    """Yield every model with its schema, the current ones first."""
    for file in sorted(folder.glob("*.json"), key=lambda file: (_OLD in file.name, file.name)):
        operation = json.loads(file.read_bytes())["paths"].get(route, {}).get("post")
        if operation is None:
            continue
        schema = operation["requestBody"]["content"]["application/json"]["schema"]
        models = schema["properties"].pop("model")["enum"]
        schema["required"] = sorted(set(schema["required"]) - {"model"})
        for model in models:
            yield model, _compact(schema)


def _compact(schema: Raw) -> Raw:
    """Return the schema without its prose, but with the two rules that only the prose states."""
    description = str(schema.get("description", ""))
    compact = {key: _compact_value(key, inner) for key, inner in schema.items()}
    compact = {key: inner for key, inner in compact.items() if key not in _NOTES}
    if multiple := _MULTIPLE.search(description):
        sides = compact["properties"]
        compact["properties"] = {
            name: {**side, "multipleOf": int(multiple[1])} for name, side in sides.items()
        }
    if sides := _SIDES.search(description):
        compact["sides"] = [int(sides[1]), int(sides[2])]
    return compact


def _compact_value(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever stands under the key
    match key:
        case "properties":
            return {name: _compact(inner) for name, inner in value.items()}
        case "items":
            return _compact(value)
        case "anyOf":
            return [_compact(inner) for inner in value]
        case _:
            return value


def either(current: Raw, old: Raw) -> Raw:
    """Return a schema that accepts each property in either of two forms."""
    properties = {**old["properties"], **current["properties"]}
    for name in current["properties"].keys() & old["properties"].keys():
        properties[name] = _either_form(name, current["properties"][name], old["properties"][name])
    required = sorted(set(current["required"]) & set(old["required"]))
    return {**current, "properties": properties, "required": required}


def _either_form(name: str, current: Raw, old: Raw) -> Raw:
    """Return either form; the current spec decides a count that the old one does not limit."""
    if name in _COUNTS and "maximum" not in old and "enum" not in old:
        return current
    given = [form for schema in (current, old) for form in schema.get("anyOf", [schema])]
    bare = [{key: form[key] for key in form if key != "default"} for form in given]
    forms = [form for index, form in enumerate(bare) if form not in bare[:index]]
    default = {key: schema[key] for schema in (old, current) for key in schema if key == "default"}
    return {**(forms[0] if len(forms) == 1 else {"anyOf": forms}), **default}


if __name__ == "__main__":
    sys.stdout.write(written(Path(sys.argv[1])))
