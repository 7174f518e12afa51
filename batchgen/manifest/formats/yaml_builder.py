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
_INSTEAD = "write the values out, or put what rows share under `defaults:`"


class Builder:
    """Build values from events; note what is wrong in `problems` and go on.

    lines: if given, filled with the line of each key and item by its path.
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
                    self.note(event, unknown_tag(event.tag))
                return {key: self.value(one, (*path, key)) for key, one in self.entries(path)}
            case SequenceStartEvent():
                if event.tag not in SEQ_TAGS:
                    self.note(event, unknown_tag(event.tag))
                return [self.value(one, place) for place, one in self._items(path)]
            case AliasEvent():
                name = f"*{event.anchor}"
                self.note(event, f"{name} is an alias, and aliases are not supported; {_INSTEAD}")
        return None

    def entries(self, path: KeyPath) -> Iterator[tuple[str, Event]]:
        """Yield the keys of a mapping, each with the first event of its value.

        The caller reads that value to its end before it takes the next key.
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
        """Read to the end of the value that starts with the event."""
        depth = 0
        while True:
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if not depth:
                return
            event = next(self.events)

    def note(self, event: Event, message: str) -> None:
        """Add a Problem at the event's line."""
        self.problems.append(Problem(self.label, line_of(event), message))

    def _items(self, path: KeyPath) -> Iterator[tuple[KeyPath, Event]]:
        for index, event in enumerate(self.events):
            if isinstance(event, SequenceEndEvent):
                return
            place = (*path, index)
            if self._lines is not None:
                self._lines[place] = line_of(event)
            yield place, event

    def _scalar(self, event: ScalarEvent) -> Json:
        try:
            if event.tag is not None:
                return resolve_tagged(event.value, event.tag)
            return resolve(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self.note(event, str(error))
            return None

    def _key(self, event: Event, seen: Container[str]) -> str | None:
        """Return the text of a key; None, with a Problem noted, for what cannot be one."""
        if not isinstance(event, ScalarEvent):
            self.note(event, "a key must be a word, not a list, a mapping or an alias")
            self.skip(event)
            return None
        if event.tag is not None:
            self._scalar(event)  # a key is its text whatever its tag, but the tag must be known
        key: str = event.value
        if event.implicit[0] and key in {"", "<<"}:
            message = f"merge keys are not supported; {_INSTEAD}" if key else "a key is missing"
            self.note(event, message)
            return None
        if key in seen:
            self.note(event, f'the key "{key}" is given twice; keep one of them')
            return None
        return key
