"""JSON values from YAML parser events, without aliases, merge keys or repeated keys."""

from collections.abc import Container, Generator, Iterator
from typing import TypeAlias

from yaml.events import (
    AliasEvent,
    CollectionEndEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from batchgen.manifest.formats.yaml_parser import line_of
from batchgen.manifest.formats.yaml_scalars import (
    MAP_TAGS,
    SEQ_TAGS,
    resolve,
    resolve_tagged,
    unknown_tag,
)
from batchgen.types import Json, Problem

KeyPath: TypeAlias = tuple[str | int, ...]
_INSTEAD = "write the values out, or put shared values under `defaults:`"


class Builder:
    """Build values from events; add errors to `problems` and continue.

    lines: if given, receives the line of each key and list item by its path.
    """

    def __init__(
        self,
        stream: Generator[Event, None, None],
        label: str,
        lines: dict[KeyPath, int] | None = None,
    ) -> None:
        self.events = stream
        self.label = label
        self.problems: list[Problem] = []
        self._lines = lines

    def value(self, event: Event, path: KeyPath) -> Json:
        """Build the value that starts with the event; None if it is an alias."""
        match event:
            case ScalarEvent():
                return self._scalar(event)
            case MappingStartEvent():
                if event.tag not in MAP_TAGS:
                    self.report(event, unknown_tag(event.tag))
                return {key: self.value(first, (*path, key)) for key, first in self.entries(path)}
            case SequenceStartEvent():
                if event.tag not in SEQ_TAGS:
                    self.report(event, unknown_tag(event.tag))
                return [self.value(first, item_path) for item_path, first in self._items(path)]
            case AliasEvent():
                alias = f"*{event.anchor}"
                self.report(event, f"{alias} is an alias, which is not supported; {_INSTEAD}")
        return None

    def entries(self, path: KeyPath) -> Iterator[tuple[str, Event]]:
        """Yield the keys of a mapping, each with the first event of its value.

        The caller must read the value to its end before it takes the next key.
        """
        seen: set[str] = set()
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                return
            key = self._key(event, seen)
            value = next(self.events)
            if key is None:
                self.skip(value)
                continue
            seen.add(key)
            if self._lines is not None:
                self._lines[(*path, key)] = line_of(event)
            yield key, value

    def skip(self, event: Event) -> None:
        """Read and discard the rest of the value that starts with the event."""
        depth = 0
        while True:
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if not depth:
                return
            event = next(self.events)

    def report(self, event: Event, message: str) -> None:
        """Add a Problem at the event's line."""
        self.problems.append(Problem(self.label, line_of(event), message))

    def _items(self, path: KeyPath) -> Iterator[tuple[KeyPath, Event]]:
        for index, event in enumerate(self.events):
            if isinstance(event, SequenceEndEvent):
                return
            item_path = (*path, index)
            if self._lines is not None:
                self._lines[item_path] = line_of(event)
            yield item_path, event

    def _scalar(self, event: ScalarEvent) -> Json:
        try:
            if event.tag is not None:
                return resolve_tagged(event.value, event.tag)
            return resolve(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self.report(event, str(error))
            return None

    def _key(self, event: Event, seen: Container[str]) -> str | None:
        """Return the text of a key; report a Problem and return None if it is not valid."""
        if not isinstance(event, ScalarEvent):
            self.report(event, "a key must be text, not a list, a mapping or an alias")
            self.skip(event)
            return None
        if event.tag is not None:
            self._scalar(event)  # the tag is checked, but a key is always text
        key: str = event.value
        if event.implicit[0] and key in {"", "<<"}:
            missing = "a key is missing; write one before the `:`"
            message = missing if not key else f"merge keys are not supported; {_INSTEAD}"
            self.report(event, message)
            return None
        if key in seen:
            self.report(event, f'the key "{key}" is given twice; keep one of them')
            return None
        return key
