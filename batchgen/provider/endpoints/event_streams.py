"""JSON that is wrapped in something else: event streams, comments, prefixes, JSON lines.

Some gateways always stream (`data: {...}`), send comments while they wait (`: PROCESSING`), or put
a guard before the JSON (`)]}'`). Events are those of the HTML standard, "Server-sent
events"; their types are OpenAI's (`image_generation.completed`).
"""

import json
import re
from collections.abc import Iterator, Mapping
from typing import cast

from batchgen.provider.endpoints.errors import read_json
from batchgen.types import Json

_MAX_TEXT = 16 * 1024 * 1024
_MAX_VALUES = 10_000
_MAX_STARTS = 64  # places at which JSON is looked for
_MAX_DEPTH = 32
_FIELD = re.compile(r"(data|event|id|retry)(?:: ?|\Z)(.*)", re.DOTALL)
_EVENTS = re.compile(r"^(?:data|event):", re.MULTILINE)
_START = re.compile(r"[{\[]")
_JSON_START = re.compile(r'\{\s*["}]|\[\s*[{\["\]]')
_PARTIAL = re.compile(r"partial|progress|preview", re.IGNORECASE)
_FINAL = re.compile(r"complete|succe|done|final|finished|result", re.IGNORECASE)
_FILE = re.compile(r"batchgen-(?:payload|broken):|https?://|\.{0,2}/\S+\.\w{2,5}\b", re.IGNORECASE)
_URLS = re.compile(r"(?:https?://[^\s<>\"{}]+\s*)+")
_DECODER = json.JSONDecoder()


class _Event:
    """One value of a reply, with the name of its event."""

    def __init__(self, kind: str, value: Json) -> None:
        self.value = value
        fields = value if isinstance(value, dict) else {}
        names = (kind, fields.get("type"), fields.get("event"), fields.get("status"))
        self.kind = " ".join(name for name in names if isinstance(name, str))
        self.index = next(
            (n for key in ("index", "image_index") if type(n := fields.get(key)) is int), None
        )
        self.has_file = _has_file(value)
        self.is_partial = _PARTIAL.search(self.kind) is not None or "partial_image_index" in fields
        self.is_final = not self.is_partial and _FINAL.search(self.kind) is not None


def find_json(body: bytes) -> Json:
    """Return the JSON value in a body that is not JSON itself; None if there is none.

    Addresses without anything else are a list of files. Never raises an error.
    """
    if len(body) > _MAX_TEXT:
        return None
    text = body.decode("utf-8-sig", "replace").strip()
    if text.startswith("<"):
        return None
    if _URLS.fullmatch(text):
        return {"data": [{"url": url} for url in text.split()]}
    return _combine(list(_events(text)))


def _events(text: str) -> Iterator[_Event]:
    if _EVENTS.search(text):
        yield from _streamed(text)
    else:
        yield from (_Event("", value) for value in _values(text))


def _streamed(text: str) -> Iterator[_Event]:
    kind, lines = "", list[str]()
    for line in [*re.split(r"\r\n|\n|\r", text), ""]:
        field = _FIELD.match(line)
        if field and field[1] == "event":
            kind = field[2].strip()
        elif field and field[1] == "data":
            # Some streams have no blank lines between their events.
            if lines and _is_whole("\n".join(lines)):
                yield from _read_event(kind, lines)
                lines = []
            lines.append(field[2])
        elif not line:
            yield from _read_event(kind, lines)
            kind, lines = "", []
        elif line.startswith(("{", "[")):
            yield from (_Event("", value) for value in _values(line))


def _is_whole(text: str) -> bool:
    try:
        read_json(text.encode("utf-8", "replace"))
    except ValueError:
        return False
    return True


def _read_event(kind: str, lines: list[str]) -> Iterator[_Event]:
    text = "\n".join(lines).strip()
    if _URLS.fullmatch(text):
        yield from (_Event(kind, {"url": url}) for url in text.split())
        return
    yield from (_Event(kind, value) for value in _values(text))


def _values(text: str) -> Iterator[Json]:
    """Yield the JSON objects and lists of objects in a text, one after the other.

    The parts of an object that is cut off are not values of their own.
    """
    at, starts, found = 0, 0, 0
    while starts < _MAX_STARTS + found and found < _MAX_VALUES:
        start = _START.search(text, at)
        if start is None:
            return
        starts += 1
        try:
            value, end = _DECODER.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            if _JSON_START.match(text, start.start()):
                return
            at = start.end()
            continue
        at = end
        if isinstance(value, dict) or (isinstance(value, list) and any(map(_is_object, value))):
            found += 1
            yield cast("Json", value)


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _combine(events: list[_Event]) -> Json:
    """Return the value that a stream ends with; several pictures become one list."""
    if not events:
        return None
    with_files = [event for event in events if event.has_file and not event.is_partial]
    final = [event for event in with_files if event.is_final]
    chosen = final or with_files
    if not chosen and any(event.has_file for event in events):
        return None  # it ends before the last picture is complete
    if not chosen:
        errors = [event for event in events if _is_error(event)]
        last = (errors or events)[-1]
        is_bare = last in errors and isinstance(last.value, dict) and not last.value.get("error")
        return {"error": last.value} if is_bare else last.value
    by_index = {event.index: event.value for event in chosen if event.index is not None}
    values = list(by_index.values()) or [event.value for event in (final or chosen[-1:])]
    if len(values) == 1:
        return values[0]
    usages = [value["usage"] for value in values if isinstance(value, dict) and "usage" in value]
    return {"data": values, "usage": usages[-1]} if usages else {"data": values}


def _is_error(event: _Event) -> bool:
    fields = event.value if isinstance(event.value, Mapping) else {}
    return bool(fields.get("error")) or "error" in event.kind or "fail" in event.kind


def _has_file(value: Json, depth: int = 0) -> bool:
    match value:
        case str():
            return _FILE.match(value) is not None
        case list() if depth < _MAX_DEPTH:
            return any(_has_file(item, depth + 1) for item in value)
        case dict() if depth < _MAX_DEPTH:
            return any(_has_file(item, depth + 1) for item in value.values())
        case _:
            return False
