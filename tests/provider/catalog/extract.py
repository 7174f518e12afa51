"""Makes the catalogue's data from the vendor's specs of both dates, a file a family.

`python -m tests.catalog.extract` writes batchgen/catalog/*.json anew; a test holds the files
against what this would write.
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
# A page of 2025-05 tells these in prose, which its schema leaves out (FACTS, section 5).
TOLD_IN_PROSE = ("url", "audio", "file")
# Some say of their type only that it is text; the descriptions name URLs and base64.
PICTURES = ("image", "image_url", "image_urls")
_MEDIA = {"png": "image/png", "webp": "image/webp", "jpg": "image/jpeg"}
_SHORTEST_SHARED_ENUM = 5
_ANY: Raw = {"type": "any"}
# Pages of the vendor that name a model otherwise than its spec does (FACTS, notes on 2b).
PAGE_IDS = {
    "google/nano-banana-edit": ["google/gemini-2.5-flash-image-edit"],
    "google/gemini-3-pro-image-edit": ["google/nano-banana-pro-edit"],
}
# Not in the catalogue, because batchgen has no endpoint for them yet: the search model, whose
# results take a second call, and the Claude models whose only specs are of `/v1/messages` (in
# 2025-05 `/messages`), Anthropic's form. `read_specs` skips those files: the chat family has
# none of their paths.
LEFT_OUT = frozenset({"bagoodex/bagoodex-search-v1"})


def form(schema: Raw) -> Raw:
    """One JSON schema, without its `anyOf`, in the catalogue's compact form."""
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
    """A text's bounds; that it may not be empty is said of nearly all."""
    compact: Raw = {"min_chars": schema["minLength"]} if schema.get("minLength", 0) > 1 else {}
    return {**compact, "max_chars": schema["maxLength"]} if "maxLength" in schema else compact


def inner_form(schema: Raw) -> Raw:
    """The form of an item or a field: one, which takes anything where the spec has several."""
    forms = schema.get("anyOf", [schema])
    if all("enum" in one and one["type"] == forms[0]["type"] for one in forms):
        return form({**forms[0], "enum": [value for one in forms for value in one["enum"]]})
    return form(schema) if len(forms) == 1 else dict(_ANY)


def parameter(name: str, schema: Raw, *, required: bool) -> Raw:
    """A property of a request schema as the data file has it."""
    if is_upload(schema):
        return {**upload(schema), **({"required": True} if required else {})}
    forms = [form(inner) for inner in schema.get("anyOf", [schema])]
    if name in PICTURES:
        forms = [_picture(one) for one in forms]
    if name in COUNT_KEYS:
        forms = [_count(schema)]
    if _ANY in forms:
        forms = [dict(_ANY)]
    forms = [one for index, one in enumerate(forms) if one not in forms[:index]]
    compact: Raw = forms[0] if len(forms) == 1 else {"any_of": forms}
    default = schema.get("default")
    if default is not None and not isinstance(default, list | dict):
        # The spec has 1080 as text once, where only whole numbers are allowed.
        compact["default"] = int(default) if compact.get("type") == "integer" else default
    if required:
        compact["required"] = True
    return compact


def _picture(compact: Raw) -> Raw:
    if "items" in compact:
        return {**compact, "items": _picture(compact["items"])}
    return {**compact, "uri": True} if compact["type"] == "string" else compact


def is_upload(schema: Raw) -> bool:
    """Whether a field is a file, which the spec of the edits tells in its description alone."""
    return re.search(r"local (PNG )?file", schema.get("description", "")) is not None


def upload(schema: Raw) -> Raw:
    """A field that takes a file, with what its description says of the file."""
    words = schema["description"]
    size = re.search(r"(?:up to|under) ([0-9]+) ?MB", words)
    media = [mime for word, mime in _MEDIA.items() if word in words.lower()]
    file: Raw = {"type": "string", "file": True, "media": media}
    if size:
        file["max_bytes"] = int(size[1]) * 1024**2
    several = [form for form in schema.get("anyOf", []) if form["type"] == "array"]
    if not several:
        return file
    listed = {"type": "array", "items": file, "min_items": 1, "max_items": several[0]["maxItems"]}
    return {"any_of": [file, listed]}


def parameters(schema: Raw, family: Family) -> dict[str, Raw]:
    """Every request field besides the model and the prompt."""
    return {
        name: parameter(name, inner, required=name in schema["required"])
        for name, inner in schema["properties"].items()
        if name != prompt_name(schema, family)
    }


def prompt_name(schema: Raw, family: Family) -> str | None:
    """What the request calls the text that a row has as its prompt; None where it has none."""
    return next((name for name in family.prompts if name in schema["properties"]), None)


def prompt(schema: Raw, family: Family) -> Raw | None:
    """The bounds of the prompt; None for a model that takes none."""
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
    """The whole data file of a family; `folder` is `openapi`."""
    family = FAMILIES[name]
    current, seed = by_date(folder, family)
    latest = {**seed, **current}
    fields = {model: parameters(spec.schema, family) for model, spec in latest.items()}
    common = _common(fields)
    known = {alias for spec in current.values() for alias in spec.ids}
    models = {
        model: _entry(latest[model], seed.get(model), family=family, common=common, known=known)
        for model in sorted(latest)
    }
    enums = _named_enums(common, models)
    data = {"common": common, "models": models, "edits": _edits(folder, family)}
    return {"family": name, "path": family.paths[0], "enums": enums, **_with_names(data, enums)}


def _edits(folder: Path, family: Family) -> Raw:
    """What models of the family take at the endpoint to which pictures are uploaded."""
    current, _ = by_date(folder, EDITS)
    if family.folder != EDITS.folder or family.paths[0] != GENERATIONS:
        return {}
    return {
        model: _entry(spec, None, family=EDITS, common={}, known=set())
        for model, spec in sorted(current.items())
    }


def written(data: Raw) -> str:
    """The data as text for people: a line a parameter."""
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
    # The specs call counts "number", bound some of them by an enum of 1, some not from below.
    most = schema["enum"][0] if "enum" in schema else schema.get("maximum")
    compact: Raw = {"type": "integer", "minimum": 1}
    return compact if most is None else {**compact, "maximum": most}


def _item_bounds(schema: Raw) -> Raw:
    names = {"min_items": "minItems", "max_items": "maxItems"}
    return {ours: schema[theirs] for ours, theirs in names.items() if theirs in schema}


def _named_enums(common: Raw, models: Raw) -> dict[str, list[Any]]:
    """Names for the long enums that stand more than once; PRESET is the word of our notes."""
    places: list[tuple[str, Raw]] = list(common.items())
    places += [place for entry in models.values() for place in entry["own"].items()]
    uses: Counter[tuple[str, tuple[Any, ...]]] = Counter()
    for name, compact in places:
        for one in compact.get("any_of", [compact]):
            uses[name, tuple(one.get("enum", ()))] += 1
    names: dict[str, list[Any]] = {}
    for (name, values), count in uses.most_common():
        if count > 1 and len(values) >= _SHORTEST_SHARED_ENUM:
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
    """The definition of each parameter that most models have, where at least two share it."""
    counts: dict[str, Counter[str]] = {}
    for model_fields in fields.values():
        for name, compact in model_fields.items():
            counts.setdefault(name, Counter())[json.dumps(compact)] += 1
    shared = {name: counter.most_common(1)[0] for name, counter in counts.items()}
    return {name: json.loads(text) for name, (text, n) in sorted(shared.items()) if n > 1}


def _entry(now: Spec, then: Spec | None, *, family: Family, common: Raw, known: set[str]) -> Raw:
    fields = parameters(now.schema, family)
    model, *others = now.ids
    aliases = [name for name in others if name not in known or not now.is_seed]
    entry: Raw = {"prompt": prompt(now.schema, family)}
    if aliases := [*aliases, *PAGE_IDS.get(model, [])]:
        entry["aliases"] = aliases
    if now.path != family.paths[0]:
        entry["path"] = now.path
    if one_of := [name for name in family.one_of if name in fields]:
        entry["one_of"] = one_of
    entry["common"] = [name for name, compact in fields.items() if common.get(name) == compact]
    entry["own"] = {n: compact for n, compact in fields.items() if common.get(n) != compact}
    if then is not None:
        entry["seed"] = _difference(now.schema, then.schema, family)
        if then.path != now.path:
            entry["seed"]["path"] = then.path
    return entry


def _difference(now: Raw, then: Raw, family: Family) -> Raw:
    current, before = parameters(now, family), parameters(then, family)
    # A count that only one date bounds is bounded: more is asked for by several requests.
    untold = COUNT_KEYS + tuple(name for name in TOLD_IN_PROSE if name in family.one_of)
    names = [name for name in {**current, **before} if name not in untold]
    changed = {n: before.get(n) for n in names if _limits(current, n) != _limits(before, n)}
    difference: Raw = {"parameters": changed} if changed else {}
    if prompt(now, family) != prompt(then, family):
        difference["prompt"] = prompt(then, family)
    return difference


def _limits(fields: dict[str, Raw], name: str) -> Raw | None:
    found = fields.get(name)
    return found and {key: value for key, value in found.items() if key != "default"}


def _enum_type(schema: Raw) -> str:
    # A number that may be 5 or 10 is a whole number: 5.0 is then sent as 5.
    whole = schema["type"] == "number" and all(type(one) is int for one in schema["enum"])
    return "integer" if whole else str(schema["type"])


def file_name(family: str) -> str:
    """The data file of a family, in batchgen/catalog."""
    return f"{'image' if family == 'images' else family}.json"


if __name__ == "__main__":
    for each in FAMILIES:
        text = written(catalogue(shared_path("api", "openapi"), each))
        CATALOG.joinpath(file_name(each)).write_text(text, "utf-8")
