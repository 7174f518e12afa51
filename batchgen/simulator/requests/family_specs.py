"""The request schemas of the families other than images, and the script that writes them.

`python -m batchgen.simulator.family_specs FOLDER` reads the OpenAPI files of the vendor's
documentation, one folder per family, and prints `families.json`: the models by path.
"""

import functools
import json
import sys
from collections.abc import Iterator, Mapping
from importlib import resources
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from batchgen.simulator.requests.schema import Schema
from batchgen.simulator.requests.specs import either

Raw: TypeAlias = dict[str, Any]  # the vendor's own JSON, which only this module reads

_FOLDERS = (
    "video", "music", "speech-stt", "speech-tts", "3d", "vision-ocr", "embedding", "chat",
    "moderation",
)  # fmt: skip
_OLD = "@2025-05"
# Specs that are not read: Anthropic's messages and the transcription that answers at once, which
# the simulator does not serve, and Luma's endpoint of 2025-05, which it serves for any model
# because the spec names none.
_NOT_READ = frozenset({"/v1/messages", "/v1/stt", "/v2/generate/video/luma-ai/generation"})
_KNOWN = frozenset(
    {
        "type", "enum", "nullable", "minimum", "maximum", "minLength", "maxLength", "format",
        "items", "minItems", "maxItems", "properties", "required", "anyOf", "default",
    }
)  # fmt: skip
_TYPES = (
    ("/v2/video/", "video"),
    ("/v2/generate/video/", "video"),
    ("/v2/generate/audio", "audio"),
    ("/v1/tts", "tts"),
    ("/v1/stt/", "stt"),
    ("/v1/images/", "3d"),
    ("/v1/ocr", "ocr"),
    ("/v1/embeddings", "embedding"),
    ("/v1/chat/", "chat-completion"),
)
_DECODER = msgspec.json.Decoder(dict[str, dict[str, Schema]])


@functools.cache
def family_specs() -> Mapping[str, Mapping[str, Schema]]:
    """Return the schemas by path and model id, without the property `model`."""
    return _DECODER.decode(resources.files(__package__).joinpath("families.json").read_bytes())


def model_types() -> Mapping[str, str]:
    """Return the type of every model by its id, as in the list of models."""
    return {
        model: next(kind for begin, kind in _TYPES if path.startswith(begin))
        for path, models in family_specs().items()
        for model in models
        if model
    }


def written(folder: Path) -> str:
    """Return families.json for a folder of OpenAPI files: one line per model."""
    paths: dict[str, dict[str, Raw]] = {}
    for path, model, schema in _schemas(folder):
        known = paths.setdefault(path, {})
        known[model] = either(known[model], schema) if model in known else schema
    parts = []
    for path, models in sorted(paths.items()):
        lines = [
            f"{json.dumps(model)}:{json.dumps(models[model], separators=(',', ':'))}"
            for model in sorted(models)
        ]
        parts.append(f"{json.dumps(path)}:{{\n" + ",\n".join(lines) + "\n}")
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _schemas(folder: Path) -> Iterator[tuple[str, str, Raw]]:
    """Yield every path and model with its schema, the current ones first."""
    files = [file for name in _FOLDERS for file in (folder / name).glob("*.json")]
    for file in sorted(files, key=lambda file: (_OLD in file.name, file)):
        for path, operations in json.loads(file.read_bytes())["paths"].items():
            is_versioned = path.startswith(("/v1/", "/v2/"))
            if "post" not in operations or not is_versioned or path in _NOT_READ:
                continue
            content = operations["post"]["requestBody"]["content"]
            schema = _compact(content["application/json"]["schema"])
            models = schema["properties"].pop("model", {"enum": [""]})["enum"]
            schema["required"] = sorted(set(schema.get("required", ())) - {"model"})
            for model in dict.fromkeys(models):
                yield path, model, schema


def _compact(schema: Raw) -> Raw:
    """Return the schema without its prose; a file may be any value: it is a part of the form."""
    if schema.get("format") == "binary":
        return {}
    if "allOf" in schema:
        parts = [_compact(inner) for inner in schema["allOf"]]
        names = [name for part in parts for name in part.get("required", ())]
        properties = {name: p for part in parts for name, p in part["properties"].items()}
        return {"type": "object", "properties": properties, "required": names}
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        compact = {"anyOf": [_compact(inner) for inner in forms if set(inner) != {"nullable"}]}
        return compact | {key: schema[key] for key in ("default",) if _plain_default(schema)}
    return {
        key: _compact_value(key, value)
        for key, value in schema.items()
        if key in _KNOWN
        and (key != "required" or isinstance(value, list))
        and (key != "default" or _plain_default(schema))
    }


def _plain_default(schema: Raw) -> bool:
    return isinstance(schema.get("default"), bool | int | float | str)


def _compact_value(key: str, value: Any) -> Any:  # noqa: ANN401 - whatever stands under the key
    match key:
        case "properties":
            return {name: _compact(inner) for name, inner in value.items()}
        case "items":
            return _compact(value)
        case _:
            return value


if __name__ == "__main__":
    sys.stdout.write(written(Path(sys.argv[1])))
