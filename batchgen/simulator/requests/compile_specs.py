"""`python -m batchgen.simulator.requests.compile_specs FOLDER`: write the schemas of all models.

FOLDER has the OpenAPI files of the vendor's documentation, one folder per family. The schemas are
written to `image_specs.json` and `family_specs.json` beside this module. Files that end in
`@2025-05` are of that date, the others current; a property that differs between them may have
either form.
"""

import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Raw: TypeAlias = dict[str, Any]  # the vendor's own JSON, which only this module reads

_OLD = "@2025-05"
_IMAGE_PATHS = {"/v1/images/generations": "generations", "/v1/images/edits": "edits"}
_FAMILIES = (
    "video", "music", "speech-stt", "speech-tts", "3d", "vision-ocr", "embedding", "chat",
    "moderation",
)  # fmt: skip
# Paths that are not read: Anthropic's messages and the transcription that answers in the same
# request, which the simulator does not serve, and Luma's endpoint of 2025-05, which it serves for
# any model because the spec names none.
_NOT_READ = frozenset({"/v1/messages", "/v1/stt", "/v2/generate/video/luma-ai/generation"})
_COUNTS = ("n", "num_images")
_KEPT_KEYS = frozenset(
    {
        "type", "enum", "nullable", "minimum", "maximum", "minLength", "maxLength", "format",
        "items", "minItems", "maxItems", "properties", "required", "anyOf", "default",
    }
)  # fmt: skip
_MULTIPLE = re.compile(r"multiple of ([0-9]+)")
_SIDES = re.compile(r"between \[([0-9]+)x[0-9]+, ([0-9]+)x[0-9]+\]")


def image_specs_json(folder: Path) -> str:
    """Return `image_specs.json`: the models that generate images, and those that edit them."""
    return _merged(_schemas([folder / "image"], _IMAGE_PATHS))


def family_specs_json(folder: Path) -> str:
    """Return `family_specs.json`: the other models by path."""
    return _merged(_schemas([folder / name for name in _FAMILIES], None))


def _schemas(
    folders: list[Path], groups: Mapping[str, str] | None
) -> Iterator[tuple[str, str, Raw]]:
    """Yield the group, model and schema of every operation, the current ones first.

    groups: the paths to read, with their groups; None reads all, and each path is its own group.
    """
    files = [file for folder in folders for file in folder.glob("*.json")]
    for file in sorted(files, key=lambda file: (_OLD in file.name, file)):
        for path, operations in json.loads(file.read_bytes())["paths"].items():
            group = groups.get(path) if groups else path
            is_versioned = path.startswith(("/v1/", "/v2/"))
            if "post" not in operations or not group or not is_versioned or path in _NOT_READ:
                continue
            content = operations["post"]["requestBody"]["content"]
            schema = _compact(content["application/json"]["schema"])
            models = schema["properties"].pop("model", {"enum": [""]})["enum"]
            schema["required"] = sorted(set(schema.get("required", ())) - {"model"})
            for model in dict.fromkeys(models):
                yield group, model, schema


def _merged(schemas: Iterator[tuple[str, str, Raw]]) -> str:
    """Return the JSON of schemas by group and model: one line per model."""
    groups: dict[str, dict[str, Raw]] = {}
    for group, model, schema in schemas:
        models = groups.setdefault(group, {})
        models[model] = _either(models[model], schema) if model in models else schema
    parts = []
    for group, models in sorted(groups.items()):
        lines = [
            f"{json.dumps(model)}:{json.dumps(schema, separators=(',', ':'))}"
            for model, schema in sorted(models.items())
        ]
        parts.append(f"{json.dumps(group)}:{{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _compact(schema: Raw) -> Raw:
    """Return the schema without its prose, but with the two rules that only the prose states.

    A file may be any value, because it is a part of the form.
    """
    if schema.get("format") == "binary":
        return {}
    if "allOf" in schema:
        parts = [_compact(part) for part in schema["allOf"]]
        names = [name for part in parts for name in part.get("required", ())]
        properties = {name: p for part in parts for name, p in part["properties"].items()}
        return {"type": "object", "properties": properties, "required": names}
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        compact: Raw = {"anyOf": [_compact(form) for form in forms if set(form) != {"nullable"}]}
        return compact | {key: schema[key] for key in ("default",) if _has_plain_default(schema)}
    compact = {key: schema[key] for key in schema if key in _KEPT_KEYS}
    if not _has_plain_default(schema):
        compact.pop("default", None)
    if not isinstance(schema.get("required"), list):
        compact.pop("required", None)
    if "items" in compact:
        compact["items"] = _compact(schema["items"])
    if "properties" in compact:
        compact["properties"] = {n: _compact(inner) for n, inner in schema["properties"].items()}
    return compact | _rules_in_prose(compact, str(schema.get("description", "")))


def _has_plain_default(schema: Raw) -> bool:
    return isinstance(schema.get("default"), bool | int | float | str)


def _rules_in_prose(schema: Raw, description: str) -> Raw:
    """Return the keywords for what a description says about the sides of an image."""
    rules: Raw = {}
    if "properties" in schema and (multiple := _MULTIPLE.search(description)):
        rules["properties"] = {
            name: {**side, "multipleOf": int(multiple[1])}
            for name, side in schema["properties"].items()
        }
    if sides := _SIDES.search(description):
        rules["sides"] = [int(sides[1]), int(sides[2])]
    return rules


def _either(current: Raw, old: Raw) -> Raw:
    """Return a schema that accepts each property in either of two forms."""
    properties = {**old["properties"], **current["properties"]}
    for name in current["properties"].keys() & old["properties"].keys():
        properties[name] = _either_form(name, current["properties"][name], old["properties"][name])
    required = sorted(set(current["required"]) & set(old["required"]))
    return {**current, "properties": properties, "required": required}


def _either_form(name: str, current: Raw, old: Raw) -> Raw:
    """Return a schema of either form; only the current one for a count without an old limit."""
    if name in _COUNTS and "maximum" not in old and "enum" not in old:
        return current
    all_forms = [form for schema in (current, old) for form in schema.get("anyOf", [schema])]
    bare = [{key: form[key] for key in form if key != "default"} for form in all_forms]
    forms = [form for index, form in enumerate(bare) if form not in bare[:index]]
    default = {key: schema[key] for schema in (old, current) for key in schema if key == "default"}
    return {**(forms[0] if len(forms) == 1 else {"anyOf": forms}), **default}


def _main(folder: Path) -> None:
    here = Path(__file__).parent
    here.joinpath("image_specs.json").write_text(image_specs_json(folder), encoding="utf-8")
    here.joinpath("family_specs.json").write_text(family_specs_json(folder), encoding="utf-8")


if __name__ == "__main__":
    _main(Path(sys.argv[1]))
