"""`batchgen schema`: the JSON Schema of the job file, from the tables that its reader uses."""

import argparse
import sys
from collections.abc import Mapping

import msgspec

from batchgen.errors import Exit
from batchgen.job import OWN_KEYS, PROVIDERS
from batchgen.job.keys import SECTIONS, Setting
from batchgen.provider import catalog
from batchgen.types import Json

DIALECT = "https://json-schema.org/draft/2020-12/schema"
# A file of another row. The schema accepts any other mapping; the model's checks come later.
_REFERENCE: Json = {
    "description": "a file of another row: the row's id, and the number of the file, from 1",
    "type": "object",
    "properties": {
        "from": {"type": ["string", "number"], "minLength": 1},
        "n": {"type": "integer", "minimum": 1, "maximum": 10_000},
    },
    "required": ["from"],
    "additionalProperties": False,
}
_ONE_INPUT: Json = {"if": {"type": "object", "required": ["from"]}, "then": _REFERENCE}
_INPUT: Json = {
    "description": "a URL, a file's path, or {from: ID}: a file of another row",
    "if": {"type": "array"},
    "then": {"items": _ONE_INPUT},
    "else": _ONE_INPUT,
}
_REQUIRED = "required"  # the `default` of a setting that must be given
_TEXT: Mapping[str, Json] = {"type": "string", "minLength": 1}


def job_schema() -> dict[str, Json]:
    """Return the schema (draft 2020-12): exact for settings, loose for a model's parameters."""
    schema = _section("")
    properties = schema["properties"]
    if isinstance(properties, dict):
        for name, schema_of_key in _SPECIAL_KEYS.items():
            properties[name] = {**_description_of(properties[name]), **schema_of_key()}
    return {"$schema": DIALECT, "title": "a job of batchgen", **schema}


def _section(path: str) -> dict[str, Json]:
    settings = SECTIONS[path]
    properties: dict[str, Json] = {
        key: _property(f"{path}.{key}" if path else key, setting)
        for key, setting in settings.items()
    }
    required: list[Json] = [
        key for key, setting in settings.items() if setting.default == _REQUIRED
    ]
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": required} if required else {}),
    }


def _property(path: str, setting: Setting) -> dict[str, Json]:
    default = f" (default: {setting.default})" if setting.default else ""
    description: dict[str, Json] = {"description": setting.help + default}
    if path in SECTIONS:
        return {**description, **_section(path)}
    if f"{path}[]" in SECTIONS:
        return {**description, "type": "array", "items": _section(f"{path}[]")}
    if f"{path}.NAME" in SECTIONS:
        return {**description, "type": "object", "additionalProperties": _section(f"{path}.NAME")}
    return {**description, **setting.read.schema}


def _description_of(schema: Json) -> dict[str, Json]:
    return {"description": schema["description"]} if isinstance(schema, dict) else {}


def _provider() -> dict[str, Json]:
    return {"anyOf": [{"enum": list(PROVIDERS)}, dict(_TEXT)]}


def _model() -> dict[str, Json]:
    ids: list[Json] = [model.id for model in catalog.models()]
    return {"description": "the model's id", "anyOf": [{"enum": ids}, dict(_TEXT)]}


def _defaults() -> dict[str, Json]:
    return {"type": "object", "properties": _fields()}


def _matrix() -> dict[str, Json]:
    no_axis: dict[str, Json] = dict.fromkeys(sorted(OWN_KEYS - {"model"}), False)
    values: dict[str, Json] = {"type": "array", "minItems": 1, "uniqueItems": True}
    return {"type": "object", "properties": no_axis, "additionalProperties": values}


def _prompts() -> dict[str, Json]:
    file: dict[str, Json] = {"description": "read the rows from this file", **_TEXT}
    row: dict[str, Json] = {"type": "object", "properties": {"from": file, **_fields()}}
    return {"type": "array", "items": {"anyOf": [dict(_TEXT), row]}}


def _fields() -> dict[str, Json]:
    """Return the schemas of a row's own keys, and of all models' parameters with any value."""
    parameters: dict[str, Json] = dict.fromkeys(sorted(catalog.parameter_names()), True)
    parameters |= dict.fromkeys(sorted(catalog.input_names()), _INPUT)
    return {
        **parameters,
        "id": {"description": "name of the task and of its files", "type": ["string", "number"]},
        "prompt": {"description": "the prompt; {name} is a variable", "type": "string"},
        "model": _model(),
        "filename": {"description": "output.filename of this row", **_TEXT},
        "vars": {"description": "variables for templates and results", "type": "object"},
        "repeat": {"description": "number of copies, each with its own seed", "type": "integer"},
    }


# Keys whose schema depends on the catalogue or on the fields of a row.
_SPECIAL_KEYS = {
    "provider": _provider,
    "defaults": _defaults,
    "matrix": _matrix,
    "prompts": _prompts,
}


def schema_command(_arguments: argparse.Namespace) -> int:
    """Print the schema of the job file."""
    sys.stdout.write(schema_text())
    return Exit.OK


def schema_text() -> str:
    """Return the schema as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(job_schema()), indent=2).decode() + "\n"
