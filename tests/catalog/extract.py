"""Makes the catalogue's image data from the vendor's specs of both dates.

`python -m tests.catalog.extract > batchgen/catalog/image.json` writes it anew; a test holds the
file against what this would write.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from tests.shared import shared_path

Raw: TypeAlias = dict[str, Any]  # JSON schemas and the data file: whatever the vendor wrote

GENERATIONS = "/v1/images/generations"
SEED_SUFFIX = "@2025-05"
COUNT_KEYS = ("n", "num_images")
_SHORTEST_SHARED_ENUM = 5
# Pages of the vendor that name a model otherwise than its spec does (FACTS, notes on 2b).
PAGE_IDS = {
    "google/nano-banana-edit": ["google/gemini-2.5-flash-image-edit"],
    "google/gemini-3-pro-image-edit": ["google/nano-banana-pro-edit"],
}


def schemas(folder: Path) -> Iterator[tuple[str, list[str], Raw]]:
    """Every image request schema: the file's name, the model ids, the JSON schema."""
    for file in sorted(folder.glob("*.json")):
        path = json.loads(file.read_bytes())["paths"].get(GENERATIONS)
        if path:
            schema = path["post"]["requestBody"]["content"]["application/json"]["schema"]
            yield file.stem, schema["properties"]["model"]["enum"], schema


def current_and_seed(folder: Path) -> tuple[dict[str, Raw], dict[str, Raw]]:
    """The schemas by model id, those of today and those of the seed's time.

    A page of 2025-05 names two models, one of which has a page of its own: that one counts.
    Ids that share a current schema are one model, known by the first.
    """
    current: dict[str, Raw] = {}
    seed: dict[str, Raw] = {}
    for stem, ids, schema in schemas(folder):
        if stem.endswith(SEED_SUFFIX):
            seed[ids[0]] = schema
        else:
            current[ids[0]] = schema
    return current, seed


def form(schema: Raw) -> Raw:
    """One JSON schema, without its `anyOf`, in the catalogue's compact form."""
    properties = schema.get("properties", {})
    if properties.keys() == {"width", "height"}:
        return _sides(schema)
    if "must be between [512x512, 2048x2048]" in schema.get("description", "").lower():
        return {"type": "WxH", "minimum": 512, "maximum": 2048}
    compact: Raw = {"type": "record" if properties else schema["type"]}
    if "enum" in schema:
        return {**compact, "enum": schema["enum"]}
    compact |= {key: schema[key] for key in ("minimum", "maximum") if key in schema}
    if "maxLength" in schema:
        compact["max_chars"] = schema["maxLength"]
    if schema.get("format") == "uri":
        compact["uri"] = True
    if "items" in schema:
        compact |= {"items": form(schema["items"]), **_item_bounds(schema)}
    if properties:
        compact["fields"] = {name: form(inner) for name, inner in properties.items()}
        compact["needs"] = schema.get("required", [])
    return compact


def parameter(name: str, schema: Raw, *, required: bool) -> Raw:
    """A property of a request schema as the data file has it."""
    forms = [form(inner) for inner in schema.get("anyOf", [schema])]
    if name in COUNT_KEYS:
        forms = [_count(schema)]
    compact: Raw = forms[0] if len(forms) == 1 else {"any_of": forms}
    default = schema.get("default")
    if default is not None and not isinstance(default, list):
        # The spec has 1080 as text once, where only whole numbers are allowed.
        compact["default"] = int(default) if compact.get("type") == "integer" else default
    if required:
        compact["required"] = True
    return compact


def parameters(schema: Raw) -> dict[str, Raw]:
    """Every request field besides the model and the prompt."""
    return {
        name: parameter(name, inner, required=name in schema["required"])
        for name, inner in schema["properties"].items()
        if name not in ("model", "prompt")
    }


def prompt(schema: Raw) -> Raw | None:
    """The bounds of the prompt; None for a model that takes none."""
    raw = schema["properties"].get("prompt")
    if raw is None:
        return None
    compact = {"max_chars": raw["maxLength"]} if "maxLength" in raw else {}
    if "prompt" not in schema["required"]:
        compact["required"] = False
    return compact


def catalogue(folder: Path) -> Raw:
    """The whole data file."""
    current, seed = current_and_seed(folder)
    fields = {model: parameters(schema) for model, schema in current.items()}
    common = _common(fields)
    aliases = {ids[0]: ids[1:] for stem, ids, _ in schemas(folder) if SEED_SUFFIX not in stem}
    models = {
        model: _entry(
            current[model],
            seed.get(model),
            common=common,
            aliases=[*aliases[model], *PAGE_IDS.get(model, [])],
        )
        for model in sorted(current)
    }
    enums = _named_enums(common, models)
    return {"enums": enums, **_with_names({"common": common, "models": models}, enums)}


def written(data: Raw) -> str:
    """The data as text for people: a line a parameter."""
    lines = ["{"]
    for part in ("enums", "common"):
        lines += [f'  "{part}": {{', _lines(data[part], 4), "  },"]
    entries = [
        f'    "{model}": {{\n{_entry_lines(entry)}\n    }}'
        for model, entry in data["models"].items()
    ]
    lines += ['  "models": {', ",\n".join(entries), "  }", "}"]
    return "\n".join(lines) + "\n"


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


def _entry(now: Raw, then: Raw | None, *, common: Raw, aliases: list[str]) -> Raw:
    fields = parameters(now)
    entry: Raw = {"prompt": prompt(now)}
    if aliases:
        entry["aliases"] = aliases
    entry["common"] = [name for name, compact in fields.items() if common.get(name) == compact]
    entry["own"] = {n: compact for n, compact in fields.items() if common.get(n) != compact}
    if then is not None:
        entry["seed"] = _difference(now, then)
    return entry


def _difference(now: Raw, then: Raw) -> Raw:
    current, before = parameters(now), parameters(then)
    # A count that only one date bounds is bounded: more is asked for by several requests.
    names = [name for name in {**current, **before} if name not in COUNT_KEYS]
    changed = {n: before.get(n) for n in names if _limits(current, n) != _limits(before, n)}
    difference: Raw = {"parameters": changed} if changed else {}
    if prompt(now) != prompt(then):
        difference["prompt"] = prompt(then)
    return difference


def _limits(fields: dict[str, Raw], name: str) -> Raw | None:
    found = fields.get(name)
    return found and {key: value for key, value in found.items() if key != "default"}


if __name__ == "__main__":
    sys.stdout.write(written(catalogue(shared_path("api", "openapi", "image"))))
