"""YAML jobs from parser events: the settings with their lines, the prompts one by one.

PyYAML's loaders hold a whole document and follow YAML 1.1; the events below them do neither.
Aliases and merge keys are refused, so that a file of a few hundred bytes cannot stand for
gigabytes.
"""

import re
from collections.abc import Generator, Iterator
from contextlib import closing

import msgspec
from yaml.events import (
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from batchgen.manifest.source import Source
from batchgen.manifest.yaml_builder import Builder, KeyPath, line_of
from batchgen.manifest.yaml_parser import UnreadableError, events
from batchgen.types import Json, Problem

MAX_REFERENCED = 10_000

_REFERENCE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")


class Settings(msgspec.Struct, frozen=True):
    """A job without its prompts.

    values: the top-level mapping without `prompts`.
    lines: the line of each key and list item by its path, from 1; `("prompts",)` too, if any.
    problems: what is wrong outside the items of the prompts, and what ends the reading anywhere.
    referenced: the `{names}` that prompts have in them, at most MAX_REFERENCED.
    prompts_count: how many items the prompts have.
    """

    values: dict[str, Json]
    lines: dict[KeyPath, int]
    problems: list[Problem]
    referenced: frozenset[str]
    prompts_count: int


def load_settings(source: Source) -> Settings:
    """Read a YAML job but for the items of its prompts, which are only passed over.

    A bare list is a job with nothing but prompts. What is wrong is in `problems`, in plain words;
    raises ManifestError when the file cannot be opened or its gzip data is damaged.
    """
    with closing(events(source)) as stream:
        draft = _Draft(stream, source.label)
        try:
            draft.read()
        except UnreadableError as error:
            draft.problems.append(error.problem)
    return Settings(
        draft.values, draft.lines, draft.problems, frozenset(draft.referenced), draft.prompts_count
    )


def iter_prompts(source: Source) -> Iterator[tuple[int, Json] | Problem]:
    """Yield each item of `prompts`, or of a bare list, with its line; nothing is held per item.

    Problems of an item stand in its place. An unreadable rest is one Problem, equal to the one
    of `load_settings`, and the end; other problems outside the items are told by that alone.
    Raises ManifestError as `load_settings` does.
    """
    with closing(events(source)) as stream:
        builder = Builder(stream, source.label)
        try:
            yield from _items(builder)
        except UnreadableError as error:
            yield error.problem


def _items(builder: Builder) -> Iterator[tuple[int, Json] | Problem]:
    if not _seek_prompts(builder):
        return
    builder.problems.clear()
    for event in builder.events:
        if isinstance(event, SequenceEndEvent):
            return
        item = builder.value(event, (), 1)
        if builder.problems:
            yield from builder.problems
            builder.problems.clear()
        else:
            yield line_of(event), item


def _seek_prompts(builder: Builder) -> bool:
    """Read on to the first item of the prompts; False when there is no such list."""
    root = builder.root()
    if isinstance(root, MappingStartEvent):
        for key, value in builder.entries(()):
            if key == "prompts":
                return isinstance(value, SequenceStartEvent)
            builder.skip(value)
    return isinstance(root, SequenceStartEvent)


class _Draft:
    """What has been read of a job so far, so that it outlives what ends the reading."""

    def __init__(self, stream: Generator[Event, None, None], label: str) -> None:
        self.values: dict[str, Json] = {}
        self.lines: dict[KeyPath, int] = {}
        self.referenced: set[str] = set()
        self.prompts_count = 0
        self._builder = Builder(stream, label, self.lines)
        self.problems = self._builder.problems

    def read(self) -> None:
        builder = self._builder
        root = builder.root()
        match root:
            case None:
                self.problems.append(
                    builder.problem(0, "the file is empty; a job needs `prompts:`")
                )
                return
            case MappingStartEvent():
                self._mapping()
            case SequenceStartEvent():
                self._prompts(root)
            case _:
                builder.note(root, "a job is a mapping (`prompts:` and so on) or a list of prompts")
        next(builder.events)
        if isinstance(event := next(builder.events), DocumentStartEvent):
            builder.note(event, "a second document begins here; a job is one, remove the `---`")

    def _mapping(self) -> None:
        for key, value in self._builder.entries(()):
            if key != "prompts":
                self.values[key] = self._builder.value(value, (key,), 1)
            elif isinstance(value, SequenceStartEvent):
                self._prompts(value)
            else:
                self._builder.note(value, "`prompts` must be a list: a `- ` before each prompt")
                self._builder.skip(value)

    def _prompts(self, start: Event) -> None:
        self.lines.setdefault(("prompts",), line_of(start))
        for event in self._builder.events:
            if isinstance(event, SequenceEndEvent):
                return
            self.prompts_count += 1
            for text in self._builder.prompt_texts(event):
                if "{" in text and len(self.referenced) < MAX_REFERENCED:
                    self.referenced.update(_REFERENCE.findall(text))
