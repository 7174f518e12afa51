"""The vendor's request schemas of both dates, by family, in one uniform notation."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

Raw: TypeAlias = dict[str, Any]  # JSON schemas: whatever the vendor wrote

OLD_SUFFIX = "@2025-05"
_VIDEO_MAKERS = ("alibaba", "google", "kling", "minimax", "runway")


@dataclass(frozen=True, slots=True)
class Family:
    """The schemas of a family.

    folder: below `openapi`. paths: the default one first, then those of 2025-05.
    prompts: names of the request field that a row's prompt goes to.
    one_of: parameters of which at least one must be given, if a model has them.
    """

    folder: str
    paths: tuple[str, ...]
    prompts: tuple[str, ...] = ("prompt",)
    one_of: tuple[str, ...] = ()


GENERATIONS = "/v1/images/generations"
EDITS = Family("image", ("/v1/images/edits",))
FAMILIES = {
    "images": Family("image", (GENERATIONS,)),
    "video": Family(
        "video",
        (
            "/v2/video/generations",
            *(f"/v2/generate/video/{maker}/generation" for maker in _VIDEO_MAKERS),
        ),
    ),
    "music": Family(
        "music",
        ("/v2/generate/audio", "/v2/generate/audio/minimax/generate"),
        ("prompt", "lyrics"),
        ("refer_voice", "refer_instrumental"),
    ),
    "tts": Family("speech-tts", ("/v1/tts",), ("text", "script")),
    "stt": Family("speech-stt", ("/v1/stt/create",), one_of=("url", "audio", "file")),
    "3d": Family("3d", (GENERATIONS,)),
    "ocr": Family("vision-ocr", ("/v1/ocr",), ()),
    "embeddings": Family("embedding", ("/v1/embeddings",), ("input",)),
    "chat": Family("chat", ("/v1/chat/completions",), ("messages",)),
    "moderation": Family("moderation", ("/v1/chat/completions",), ("messages",)),
}


@dataclass(frozen=True, slots=True)
class Spec:
    """A request schema: its models, its path, and its properties without `model`."""

    ids: tuple[str, ...]
    path: str
    is_old: bool
    schema: Raw


def read_specs(folder: Path, family: Family) -> Iterator[Spec]:
    """Yield the request schemas of a family that name their models; `folder` is `openapi`."""
    for file in sorted((folder / family.folder).glob("*.json")):
        paths = json.loads(file.read_bytes())["paths"]
        path = next((path for path in family.paths if "post" in paths.get(path, {})), None)
        if path is None:
            continue
        schema = plain(paths[path]["post"]["requestBody"]["content"]["application/json"]["schema"])
        schema.setdefault("required", [])
        if model := schema["properties"].pop("model", None):
            ids = tuple(dict.fromkeys(model["enum"]))
            yield Spec(ids, path, file.stem.endswith(OLD_SUFFIX), schema)


def by_date(folder: Path, family: Family) -> tuple[dict[str, Spec], dict[str, Spec]]:
    """Return the current specs and those of 2025-05, each by model id.

    Ids that share a current spec are one model with the first id, and so are ids that only a spec
    of 2025-05 has. A page of 2025-05 names two models, one of which has its own page too: the own
    page is used for it.
    """
    specs = list(read_specs(folder, family))
    current = {spec.ids[0]: spec for spec in specs if not spec.is_old}
    names = {name: spec.ids[0] for spec in current.values() for name in reversed(spec.ids)}
    names |= {name: name for name in current}
    old: dict[str, Spec] = {}
    old_specs = [spec for spec in specs if spec.is_old]
    for spec in old_specs:
        old[names.get(spec.ids[0], spec.ids[0])] = spec
    for spec in old_specs:
        for name in spec.ids[1:]:
            old.setdefault(names.get(name, spec.ids[0]), spec)
    return current, old


def plain(schema: Raw) -> Raw:
    """Return the schema in a notation that all families share: `anyOf`, and explicit types.

    A form that only allows null is left out: a null counts as absent.
    """
    if "allOf" in schema:
        return _joined([plain(inner) for inner in schema["allOf"]])
    forms = schema.get("anyOf") or schema.get("oneOf")
    if forms:
        kept = [plain(inner) for inner in forms if inner.keys() != {"nullable"}]
        facts: Raw = {key: schema[key] for key in ("default", "description") if key in schema}
        return {"anyOf": kept, **facts} if len(kept) > 1 else {**kept[0], **facts}
    tree = dict(schema)
    if "enum" in tree:
        tree.setdefault("type", _type_of(tree["enum"][0]))
    if "properties" in tree:
        tree["type"] = "object"
        tree["properties"] = {name: plain(inner) for name, inner in tree["properties"].items()}
    if "items" in tree:
        tree["items"] = plain(tree["items"])
    return tree


def _joined(schemas: list[Raw]) -> Raw:
    properties = {name: p for schema in schemas for name, p in schema["properties"].items()}
    required = [name for schema in schemas for name in schema.get("required", [])]
    return {"type": "object", "properties": properties, "required": required}


def _type_of(value: Any) -> str:
    return {str: "string", bool: "boolean", int: "integer", float: "number"}[type(value)]
