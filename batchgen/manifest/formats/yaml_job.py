"""YAML jobs: the settings with their line numbers, and the prompts one by one.

PyYAML's loaders keep the whole document in memory, which takes 5 KB per row, and follow YAML 1.1.
This module reads its parser events instead. Aliases and merge keys are refused, so that a file of
a few hundred bytes cannot expand to gigabytes.
"""

import re
from collections.abc import Iterator
from contextlib import closing

import msgspec
from yaml.events import (
    DocumentStartEvent,
    Event,
    MappingStartEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)

from batchgen.manifest.formats.source import Source
from batchgen.manifest.formats.yaml_builder import Builder, KeyPath
from batchgen.manifest.formats.yaml_parser import UnreadableError, events, line_of
from batchgen.types import Json, Problem

MAX_REFERENCED = 10_000

_REFERENCE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_-]*)\}")


class Settings(msgspec.Struct, frozen=True):
    """A job without its prompts.

    values: the top-level mapping without `prompts`.
    lines: the line of each key and list item by its path, from 1; `("prompts",)` too, if any.
    problems: those outside the items of the prompts, and one if the rest cannot be read.
    referenced: the `{names}` in prompts, at most about MAX_REFERENCED.
    """

    values: dict[str, Json] = msgspec.field(default_factory=dict)
    lines: dict[KeyPath, int] = msgspec.field(default_factory=dict)
    problems: list[Problem] = msgspec.field(default_factory=list)
    referenced: set[str] = msgspec.field(default_factory=set)


def load_settings(source: Source) -> Settings:
    """Read a YAML job without keeping the items of its prompts.

    A list at the top level is a job with only prompts. Errors are returned in `problems`.
    Raise ManifestError if the file cannot be opened or its gzip data is damaged.
    """
    settings = Settings()
    with closing(events(source)) as stream:
        builder = Builder(stream, source.label, settings.lines)
        try:
            _read(builder, settings)
        except UnreadableError as error:
            builder.problems.append(error.problem)
    settings.problems.extend(builder.problems)
    return settings


def iter_prompts(source: Source) -> Iterator[tuple[int, Json] | Problem]:
    """Yield each item of `prompts`, or of a list at the top level, with its line; keep none.

    Problems of an item are yielded in its place. If the rest cannot be read, the last item is one
    Problem, equal to that of `load_settings`, which alone reports problems outside the items.
    Raise ManifestError as `load_settings` does.
    """
    with closing(events(source)) as stream:
        builder = Builder(stream, source.label)
        try:
            for key, event in _entries(builder):
                if key == "prompts" and isinstance(event, SequenceStartEvent):
                    for line, item, problems in _items(builder):
                        yield from problems or ((line, item),)
                    return
                builder.skip(event)
        except UnreadableError as error:
            yield error.problem


def _read(builder: Builder, settings: Settings) -> None:
    for key, event in _entries(builder):
        if key != "prompts":
            settings.values[key] = builder.value(event, (key,))
        elif isinstance(event, SequenceStartEvent):
            settings.lines.setdefault(("prompts",), line_of(event))
            for _, item, _ in _items(builder):
                if len(settings.referenced) < MAX_REFERENCED:
                    settings.referenced.update(_names(item))
        else:
            builder.report(event, "`prompts` must be a list: a `- ` before each prompt")
            builder.skip(event)
    for event in builder.events:
        if isinstance(event, DocumentStartEvent):
            builder.report(event, "a second document begins here; remove the `---`")
            return


def _entries(builder: Builder) -> Iterator[tuple[str, Event]]:
    """Yield the keys of the job with the first event of each value, as `Builder.entries` does."""
    next(builder.events)  # the start of the stream; the start of a document follows, if any
    is_empty = isinstance(next(builder.events), StreamEndEvent)
    match None if is_empty else next(builder.events):
        case MappingStartEvent():
            yield from builder.entries(())
        case SequenceStartEvent() as root:
            yield "prompts", root
        case None:
            message = "the file is empty; a job needs `prompts:`"
            builder.problems.append(Problem(builder.label, 0, message))
        case root:
            builder.report(root, "a job must be a mapping with `prompts:`, or a list of prompts")


def _items(builder: Builder) -> Iterator[tuple[int, Json, list[Problem]]]:
    """Yield the items of a list whose start was read, each with its line and its problems."""
    for event in builder.events:
        if isinstance(event, SequenceEndEvent):
            return
        item = Builder(builder.events, builder.label)
        yield line_of(event), item.value(event, ()), item.problems


def _names(item: Json) -> list[str]:
    prompt = item.get("prompt") if isinstance(item, dict) else item
    return _REFERENCE.findall(prompt) if isinstance(prompt, str) else []
