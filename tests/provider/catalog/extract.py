"""Generates the catalogue's data from the vendor's specs of both dates, one file per family.

`python -m tests.provider.catalog.extract` rewrites batchgen/provider/catalog/*.json; a test
compares the files with what this module generates.
"""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.provider.catalog.specs import EDITS, FAMILIES, GENERATIONS, Family, Raw, Spec, by_date
from tests.shared import shared_path

CATALOG = Path(__file__).resolve().parents[3] / "batchgen" / "provider" / "catalog"
COUNT_KEYS = ("n", "num_images")
# A page of 2025-05 describes these in prose only, not in its schema.
PROSE_ONLY = ("url", "audio", "file")
# Some schemas give the type text only; their descriptions name URLs and base64.
IMAGE_NAMES = ("image", "image_url", "image_urls")
_MEDIA = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
_MIN_SHARED_ENUM = 5
_ANY: Raw = {"type": "any"}
# Models whose page has another id than their spec.
PAGE_IDS = {
    "google/nano-banana-edit": ["google/gemini-2.5-flash-image-edit"],
    "google/gemini-3-pro-image-edit": ["google/nano-banana-pro-edit"],
}
# Not in the catalogue, because batchgen has no endpoint for them: the search model, whose results
# need a second request, and the Claude models that have specs only for `/v1/messages` (in 2025-05
# `/messages`), Anthropic's format. `read_specs` skips those files, because their paths are not
# among those of the chat family.
LEFT_OUT = frozenset({"bagoodex/bagoodex-search-v1"})


def form(schema: Raw) -> Raw:
    """Return one JSON schema (without `anyOf`) in the catalogue's compact form."""
    properties = schema.get("properties", {})
    if schema.get("format") == "binary":
        return {"type": "string", "file": True}
    if "type" not in schema or (schema["type"] == "object" and not properties):
        return dict(_ANY)
    if properties.keys() == {"width", "height"}:
        return _sides(schema)
    if "must be between [512x512, 2048x2048]" in schema.get("description", "").lower():
        return {"type": "WxH", "minimum": 512, "maximum": 2048}
    compact: Raw = {"type": "record" if properties else schema["type"]}
    if "enum" in schema:
        return {**compact, "type": _enum_type(schema), "enum": schema["enum"]}
    compact |= {key: schema[key] for key in ("minimum", "maximum") if key in schema}
    compact |= _lengths(schema)
    if schema.get("format") == "uri":
        compact["uri"] = True
    if "items" in schema:
        compact |= {"items": inner_form(schema["items"]), **_item_bounds(schema)}
    if properties:
        compact["fields"] = {name: inner_form(inner) for name, inner in properties.items()}
        compact["needs"] = schema.get("required", [])
    return compact


def _lengths(schema: Raw) -> Raw:
    """Return the length limits of a text; a minimum of 1 is left out, nearly all have it."""
    compact: Raw = {"min_chars": schema["minLength"]} if schema.get("minLength", 0) > 1 else {}
    return {**compact, "max_chars": schema["maxLength"]} if "maxLength" in schema else compact


def inner_form(schema: Raw) -> Raw:
    """Return the form of an item or a field; it accepts anything if the spec has several forms."""
    forms = schema.get("anyOf", [schema])
    if all("enum" in one and one["type"] == forms[0]["type"] for one in forms):
        return form({**forms[0], "enum": [value for one in forms for value in one["enum"]]})
    return form(schema) if len(forms) == 1 else dict(_ANY)


def parameter(name: str, schema: Raw, *, required: bool) -> Raw:
    """Return a property of a request schema in the format of the data file."""
    if is_upload(schema):
        return {**upload(schema), **({"required": True} if required else {})}
    forms = [form(inner) for inner in schema.get("anyOf", [schema])]
    if name in IMAGE_NAMES:
        forms = [_image_form(each) for each in forms]
    if name in COUNT_KEYS:
        forms = [_count(schema)]
    if _ANY in forms:
        forms = [dict(_ANY)]
    forms = [each for index, each in enumerate(forms) if each not in forms[:index]]
    compact: Raw = forms[0] if len(forms) == 1 else {"any_of": forms}
    default = schema.get("default")
    if default is not None and not isinstance(default, list | dict):
        # The spec has 1080 as text once although only integers are allowed.
        compact["default"] = int(default) if compact.get("type") == "integer" else default
    if required:
        compact["required"] = True
    return compact


def _image_form(compact: Raw) -> Raw:
    if "items" in compact:
        return {**compact, "items": _image_form(compact["items"])}
    return {**compact, "uri": True} if compact["type"] == "string" else compact


def is_upload(schema: Raw) -> bool:
    """Return whether a field is a file; the spec of the edits says so only in its description."""
    return re.search(r"local (PNG )?file", schema.get("description", "")) is not None


def upload(schema: Raw) -> Raw:
    """Return a field that takes a file, with the limits in its description."""
    text = schema["description"]
    size = re.search(r"(?:up to|under) ([0-9]+) ?MB", text)
    media = [mime for word, mime in _MEDIA.items() if word in text.lower()]
    file: Raw = {"type": "string", "file": True, "media": media}
    if size:
        file["max_bytes"] = int(size[1]) * 1024**2
    several = [form for form in schema.get("anyOf", []) if form["type"] == "array"]
    if not several:
        return file
    listed = {"type": "array", "items": file, "min_items": 1, "max_items": several[0]["maxItems"]}
    return {"any_of": [file, listed]}


def parameters(schema: Raw, family: Family) -> dict[str, Raw]:
    """Return all request fields except the model and the prompt."""
    return {
        name: parameter(name, inner, required=name in schema["required"])
        for name, inner in schema["properties"].items()
        if name != prompt_name(schema, family)
    }


def prompt_name(schema: Raw, family: Family) -> str | None:
    """Return the request's name for the prompt; None if it has no prompt."""
    return next((name for name in family.prompts if name in schema["properties"]), None)


def prompt(schema: Raw, family: Family) -> Raw | None:
    """Return the limits of the prompt; None for a model that takes none."""
    name = prompt_name(schema, family)
    if name is None:
        return None
    raw = schema["properties"][name]
    text: Raw = next((one for one in raw.get("anyOf", [raw]) if one.get("type") == "string"), {})
    compact: Raw = {} if name == "prompt" else {"name": name}
    compact |= _lengths(text)
    if name not in schema["required"]:
        compact["required"] = False
    return compact


def catalogue(folder: Path, name: str) -> Raw:
    """Return the whole data file of a family; `folder` is `openapi`."""
    family = FAMILIES[name]
    current, old = by_date(folder, family)
    latest = {**old, **current}
    fields = {model: parameters(spec.schema, family) for model, spec in latest.items()}
    common = _common(fields)
    known = {alias for spec in current.values() for alias in spec.ids}
    models = {
        model: _entry(latest[model], old.get(model), family=family, common=common, known=known)
        for model in sorted(latest)
    }
    enums = _named_enums(common, models)
    data = {"common": common, "models": models, "edits": _edits(folder, family)}
    return {"family": name, "path": family.paths[0], "enums": enums, **_with_names(data, enums)}


def _edits(folder: Path, family: Family) -> Raw:
    """Return the parameters of the family's models at the endpoint for image uploads."""
    current, _ = by_date(folder, EDITS)
    if family.folder != EDITS.folder or family.paths[0] != GENERATIONS:
        return {}
    return {
        model: _entry(spec, None, family=EDITS, common={}, known=set())
        for model, spec in sorted(current.items())
    }


def data_file(data: Raw) -> str:
    """Return the data as readable JSON, one line per parameter."""
    lines = ["{", *(f'  "{key}": {json.dumps(data[key])},' for key in ("family", "path"))]
    for part in ("enums", "common"):
        lines += [f'  "{part}": {{', _lines(data[part], 4), "  },"]
    parts = [
        f'  "{part}": {{\n{_entries(data[part])}\n  }}'
        for part in ("models", "edits")
        if data[part]
    ]
    return "\n".join([*lines, ",\n".join(parts), "}"]) + "\n"


def _entries(models: Raw) -> str:
    return ",\n".join(
        f'    "{model}": {{\n{_entry_lines(entry)}\n    }}' for model, entry in models.items()
    )


def _entry_lines(entry: Raw) -> str:
    own = entry["own"]
    parts = {key: json.dumps(value) for key, value in entry.items() if key != "own"}
    parts["own"] = f"{{\n{_lines(own, 8)}\n      }}" if own else "{}"
    return ",\n".join(f'      "{key}": {text}' for key, text in parts.items())


def _lines(mapping: Raw, indent: int) -> str:
    return ",\n".join(f'{" " * indent}"{k}": {json.dumps(v)}' for k, v in mapping.items())


def _sides(schema: Raw) -> Raw:
    width = schema["properties"]["width"]
    compact: Raw = {"type": "sides", "minimum": width.get("minimum", 1)}
    if "maximum" in width:
        compact["maximum"] = width["maximum"]
    if "multiple of 32" in schema.get("description", ""):
        compact["multiple_of"] = 32
    if "required" not in schema:
        compact["partial"] = True
    return compact


def _count(schema: Raw) -> Raw:
    # The specs type counts as "number"; some are limited by an enum of 1, some have no minimum.
    maximum = schema["enum"][0] if "enum" in schema else schema.get("maximum")
    compact: Raw = {"type": "integer", "minimum": 1}
    return compact if maximum is None else {**compact, "maximum": maximum}


def _item_bounds(schema: Raw) -> Raw:
    names = {"min_items": "minItems", "max_items": "maxItems"}
    return {ours: schema[theirs] for ours, theirs in names.items() if theirs in schema}


def _named_enums(common: Raw, models: Raw) -> dict[str, list[Any]]:
    """Return names for the long enums that occur more than once; sizes are named PRESET."""
    places: list[tuple[str, Raw]] = list(common.items())
    places += [place for entry in models.values() for place in entry["own"].items()]
    uses: Counter[tuple[str, tuple[Any, ...]]] = Counter()
    for name, compact in places:
        for variant in compact.get("any_of", [compact]):
            uses[name, tuple(variant.get("enum", ()))] += 1
    names: dict[str, list[Any]] = {}
    for (name, values), count in uses.most_common():
        if count > 1 and len(values) >= _MIN_SHARED_ENUM:
            word = "PRESET" if name == "image_size" else name.upper()
            known = sum(key.startswith(word) for key in names)
            names[f"{word}_{known + 1}" if known else word] = list(values)
    return names


def _with_names(node: Any, enums: Mapping[str, list[Any]]) -> Any:
    if isinstance(node, list):
        return [_with_names(item, enums) for item in node]
    if not isinstance(node, dict):
        return node
    tree = {key: _with_names(item, enums) for key, item in node.items()}
    if isinstance(values := tree.get("enum"), list):
        tree["enum"] = next((name for name, known in enums.items() if known == values), values)
    return tree


def _common(fields: Mapping[str, Mapping[str, Raw]]) -> Raw:
    """Return the most frequent definition of each parameter, if at least two models share it."""
    counts: dict[str, Counter[str]] = {}
    for model_fields in fields.values():
        for name, compact in model_fields.items():
            counts.setdefault(name, Counter())[json.dumps(compact)] += 1
    shared = {name: counter.most_common(1)[0] for name, counter in counts.items()}
    return {name: json.loads(text) for name, (text, n) in sorted(shared.items()) if n > 1}


def _entry(current: Spec, old: Spec | None, *, family: Family, common: Raw, known: set[str]) -> Raw:
    fields = parameters(current.schema, family)
    model, *others = current.ids
    aliases = [name for name in others if name not in known or not current.is_old]
    entry: Raw = {"prompt": prompt(current.schema, family)}
    if aliases := [*aliases, *PAGE_IDS.get(model, [])]:
        entry["aliases"] = aliases
    if current.path != family.paths[0]:
        entry["path"] = current.path
    if one_of := [name for name in family.one_of if name in fields]:
        entry["one_of"] = one_of
    entry["common"] = [name for name, compact in fields.items() if common.get(name) == compact]
    entry["own"] = {n: compact for n, compact in fields.items() if common.get(n) != compact}
    if old is not None:
        entry["old_spec"] = _difference(current.schema, old.schema, family)
        if old.path != current.path:
            entry["old_spec"]["path"] = old.path
    return entry


def _difference(schema: Raw, old_schema: Raw, family: Family) -> Raw:
    current, old = parameters(schema, family), parameters(old_schema, family)
    # A count that only one spec limits is limited: more images take several requests.
    ignored = COUNT_KEYS + tuple(name for name in PROSE_ONLY if name in family.one_of)
    names = [name for name in {**current, **old} if name not in ignored]
    changed = {n: old.get(n) for n in names if _limits(current, n) != _limits(old, n)}
    difference: Raw = {"parameters": changed} if changed else {}
    if prompt(schema, family) != prompt(old_schema, family):
        difference["prompt"] = prompt(old_schema, family)
    return difference


def _limits(fields: dict[str, Raw], name: str) -> Raw | None:
    field = fields.get(name)
    return field and {key: value for key, value in field.items() if key != "default"}


def _enum_type(schema: Raw) -> str:
    # A number that can only be 5 or 10 is an integer, so that 5.0 is sent as 5.
    whole = schema["type"] == "number" and all(type(one) is int for one in schema["enum"])
    return "integer" if whole else str(schema["type"])


def file_name(family: str) -> str:
    """Return the name of a family's data file in batchgen/provider/catalog."""
    return f"{'image' if family == 'images' else family}.json"


if __name__ == "__main__":
    for family_name in FAMILIES:
        text = data_file(catalogue(shared_path("api", "openapi"), family_name))
        CATALOG.joinpath(file_name(family_name)).write_text(text, "utf-8")
