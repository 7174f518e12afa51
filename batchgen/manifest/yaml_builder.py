"""Values from YAML parser events, without aliases, merge keys or repeated keys."""

from collections.abc import Container, Generator, Iterator
from typing import TypeAlias

from yaml.events import (
    AliasEvent,
    CollectionStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from batchgen.manifest.values import MAX_DEPTH
from batchgen.manifest.yaml_errors import TOO_DEEP
from batchgen.manifest.yaml_parser import UnreadableError
from batchgen.manifest.yaml_scalars import MAP_TAGS, SEQ_TAGS, check_tag, resolve, resolve_tagged
from batchgen.types import Json, Problem

KeyPath: TypeAlias = tuple[str | int, ...]
_STARTS = (MappingStartEvent, SequenceStartEvent)
_ENDS = (MappingEndEvent, SequenceEndEvent)
_INSTEAD = "write the values out, or put what rows share under `defaults:`"


def line_of(event: Event) -> int:
    """Return the line of an event's first character, from 1."""
    return event.start_mark.line + 1 if event.start_mark else 0


class Builder:
    """Builds values from events, noting what is wrong and going on.

    lines: where given, takes the line of each key and item by its path.
    """

    def __init__(
        self,
        stream: Generator[Event, None, None],
        label: str,
        lines: dict[KeyPath, int] | None = None,
    ) -> None:
        self.events = stream
        self.problems: list[Problem] = []
        self._label = label
        self._lines = lines

    def root(self) -> Event | None:
        """Return the first event of the document's content; None in an empty file."""
        next(self.events)
        if isinstance(next(self.events), StreamEndEvent):
            return None
        return next(self.events)

    def value(self, event: Event, path: KeyPath, depth: int) -> Json:
        """Build what begins with the event; `depth` counts the collections around it."""
        if isinstance(event, ScalarEvent):
            return self._scalar(event)
        if depth >= MAX_DEPTH:
            raise self.too_deep(event)
        if isinstance(event, MappingStartEvent):
            self._check_tag(event, MAP_TAGS)
            entries = self.entries(path)
            return {key: self.value(start, (*path, key), depth + 1) for key, start in entries}
        if isinstance(event, SequenceStartEvent):
            self._check_tag(event, SEQ_TAGS)
            return self._sequence(path, depth)
        self._refuse_alias(event)
        return None

    def entries(self, path: KeyPath) -> Iterator[tuple[str, Event]]:
        """Yield the keys of a begun mapping, each with the first event of its value.

        The taker reads that value to its end before the next key.
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
        """Read what begins with the event to its end."""
        for _ in self.scalars(event):
            pass

    def prompt_texts(self, event: Event) -> Iterator[str]:
        """Read a row to its end, yielding the text that is its prompt."""
        if not isinstance(event, MappingStartEvent):
            yield from self.scalars(event)
            return
        for key in self.events:
            if isinstance(key, MappingEndEvent):
                return
            is_prompt = isinstance(key, ScalarEvent) and key.value == "prompt"
            self.skip(key)
            texts = self.scalars(next(self.events))
            yield from (text for text in texts if is_prompt)

    def scalars(self, event: Event) -> Iterator[str]:
        """Read what begins with the event to its end, yielding the text of its scalars."""
        depth = 0
        while True:
            if isinstance(event, ScalarEvent):
                yield event.value
            elif isinstance(event, _STARTS):
                depth += 1
                if depth > MAX_DEPTH:
                    raise self.too_deep(event)
            elif isinstance(event, _ENDS):
                depth -= 1
            if not depth:
                return
            event = next(self.events)

    def note(self, event: Event, message: str) -> None:
        """Keep a Problem at the event's line."""
        self.problems.append(self.problem(line_of(event), message))

    def problem(self, line: int, message: str) -> Problem:
        """Make a Problem of this file."""
        return Problem(self._label, line, message)

    def too_deep(self, event: Event) -> UnreadableError:
        """Say that the reading ends: a parser takes ever longer for each level it goes down."""
        return UnreadableError(self.problem(line_of(event), TOO_DEEP))

    def _sequence(self, path: KeyPath, depth: int) -> list[Json]:
        items: list[Json] = []
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                break
            inner = (*path, len(items))
            if self._lines is not None:
                self._lines[inner] = line_of(event)
            items.append(self.value(event, inner, depth + 1))
        return items

    def _scalar(self, event: ScalarEvent) -> Json:
        try:
            if event.tag is not None:
                return resolve_tagged(event.value, event.tag)
            return resolve(event.value) if event.implicit[0] else event.value
        except ValueError as error:
            self.note(event, str(error))
            return None

    def _key(self, event: Event, seen: Container[str]) -> str | None:
        """Return a key as its text; None, with the trouble noted, for what cannot be one."""
        if not isinstance(event, ScalarEvent):
            if isinstance(event, AliasEvent):
                self._refuse_alias(event)
            else:
                self.note(event, "a key must be a word, not a list or a mapping")
                self.skip(event)
            return None
        if event.tag is not None:
            self._scalar(event)  # a key is its text whatever its tag, but the tag must be known
        key: str = event.value
        if event.implicit[0] and key in {"", "<<"}:
            trouble = f"merge keys are not taken; {_INSTEAD}" if key else "a key is missing here"
            self.note(event, trouble)
            return None
        if key in seen:
            self.note(event, f'the key "{key}" is given twice; keep one of them')
            return None
        return key

    def _check_tag(self, event: CollectionStartEvent, allowed: frozenset[str | None]) -> None:
        try:
            check_tag(event.tag, allowed)
        except ValueError as error:
            self.note(event, str(error))

    def _refuse_alias(self, event: Event) -> None:
        name = f"*{event.anchor}" if isinstance(event, AliasEvent) else "this"
        self.note(event, f"{name} is an alias, and aliases are not taken; {_INSTEAD}")
