"""Values at and just outside every documented limit, from the vendor's JSON schemas.

This module reads the schemas without `extract`, so that neither hides the other's errors.
"""

from collections.abc import Iterator
from typing import Any, TypeAlias

Raw: TypeAlias = dict[str, Any]
Probe: TypeAlias = tuple[str, Any]  # the limit that is probed, and the value

FOREIGN = "no-such-value"


def allows(schema: Raw, value: Any) -> bool:
    """Return whether a JSON schema of the vendor's kind accepts the value."""
    if "anyOf" in schema:
        return any(allows(inner, value) for inner in schema["anyOf"])
    if not _has_type(schema["type"], value) or value not in schema.get("enum", [value]):
        return False
    if isinstance(value, str):
        shortest = int(schema.get("minLength", 0)) if schema.get("minLength", 0) > 1 else 0
        return shortest <= len(value) <= int(schema.get("maxLength", len(value)))
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return bool(schema.get("minimum", value) <= value <= schema.get("maximum", value))
    if isinstance(value, list):
        fits = schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        return fits and all(allows(schema["items"], item) for item in value)
    return not isinstance(value, dict) or _allows_object(schema, value)


def is_open(schema: Raw) -> bool:
    """Return whether the catalogue accepts any value: no type, or forms inside another form."""
    if schema.get("format") == "binary":
        return True  # the schema has a buffer, the catalogue a file's path
    forms = schema.get("anyOf", [schema])
    return any(_is_open_form(form) for form in forms)


def _is_open_form(schema: Raw) -> bool:
    if "type" not in schema:
        return True
    if schema["type"] == "object" and not schema.get("properties"):
        return True
    inner = [
        *schema.get("properties", {}).values(),
        *([schema["items"]] if "items" in schema else []),
    ]
    return any("anyOf" in part or is_open(part) for part in inner)


def probes(schema: Raw) -> Iterator[Probe]:
    """Yield values inside and outside the limits; `allows` distinguishes them."""
    for inner in schema.get("anyOf", []):
        yield from probes(inner)
    if "enum" in schema:
        yield from (("enum", value) for value in [*schema["enum"], _foreign(schema)])
    elif schema.get("type") in ("integer", "number"):
        yield from _number_probes(schema)
    elif schema.get("type") == "boolean":
        yield from (("boolean", value) for value in (True, False, FOREIGN, 1))
    elif schema.get("type") == "string":
        yield from _text_probes(schema)
    elif schema.get("type") == "array":
        yield from _list_probes(schema)
    elif schema.get("type") == "object":
        yield from _object_probes(schema)
    if schema.get("default") is not None:
        yield "default", _default(schema)


def sample(schema: Raw) -> Any:
    """Return a value that the schema accepts."""
    return next(value for _, value in probes(schema) if allows(schema, value))


def _has_type(name: str, value: Any) -> bool:
    types: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "boolean": bool,
        "integer": int,
        "number": (int, float),
        "array": list,
        "object": dict,
    }
    return isinstance(value, types[name]) and isinstance(value, bool) == (name == "boolean")


def _allows_object(schema: Raw, value: Raw) -> bool:
    known = schema["properties"]
    if not value.keys() <= known.keys() or not set(schema.get("required", [])) <= value.keys():
        return False
    if not all(allows(known[name], inner) for name, inner in value.items()):
        return False
    has_step = "multiple of 32" in schema.get("description", "")
    return not (has_step and any(inner % 32 for inner in value.values()))


def _foreign(schema: Raw) -> Any:
    first = schema["enum"][0]
    if isinstance(first, bool):
        return not first
    return max(schema["enum"]) + 1 if isinstance(first, int) else FOREIGN


def _default(schema: Raw) -> Any:
    # One default of the specs is the text "1080" although only integers are allowed.
    default = schema["default"]
    return int(default) if schema.get("type") == "integer" else default


def _number_probes(schema: Raw) -> Iterator[Probe]:
    step = 1 if schema["type"] == "integer" else 0.001
    for limit, outwards in (("minimum", -step), ("maximum", step)):
        if limit in schema:
            yield limit, schema[limit]
            yield limit, schema[limit] + outwards
    yield "number", schema.get("minimum", 0) + 1
    yield "number", FOREIGN


def _text_probes(schema: Raw) -> Iterator[Probe]:
    if schema.get("minLength", 0) > 1:
        yield "minLength", "x" * schema["minLength"]
        yield "minLength", "x" * (schema["minLength"] - 1)
    if "maxLength" in schema:
        yield "maxLength", "x" * schema["maxLength"]
        yield "maxLength", "x" * (schema["maxLength"] + 1)
    yield "text", "https://example.test/a.png" if "format" in schema else "1024x1024"
    yield "text", 5


def _list_probes(schema: Raw) -> Iterator[Probe]:
    item = sample(schema["items"])
    lengths = {schema.get("minItems", 1), schema.get("minItems", 1) - 1}
    if "maxItems" in schema:
        lengths |= {schema["maxItems"], schema["maxItems"] + 1}
    yield from (("items", [item] * length) for length in sorted(lengths))
    for limit, value in probes(schema["items"]):
        yield f"item {limit}", [value]


def _object_probes(schema: Raw) -> Iterator[Probe]:
    known = schema["properties"]
    step = 32 if "multiple of 32" in schema.get("description", "") else 1
    good = {name: sample(inner) for name, inner in known.items()}
    yield "object", good
    yield "object", {**good, FOREIGN: 1}
    for name, inner in known.items():
        yield "required", {key: value for key, value in good.items() if key != name}
        for probed, value in probes(inner):
            yield f"{name} {probed}", {**good, name: value}
        for limit in ("minimum", "maximum"):
            if limit in inner and step > 1:
                yield "multiple", {**good, name: inner[limit] // step * step + step}
                yield "multiple", {**good, name: inner["minimum"] + step // 2}
