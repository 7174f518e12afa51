"""References between the tasks of a manifest: collected in compact arrays, and checked.

Only tasks with references and their sources are kept, as 64-bit hashes of their ids (Python's own
hash, as in `Occurrences`): about 25 bytes per reference and 30 per source.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from batchgen.provider.catalog.translate import COUNT_KEYS
from batchgen.provider.pricing import image_count
from batchgen.text import did_you_mean, one_line
from batchgen.types import Input, Problem, Reference, Task

# The kinds of file that each family produces.
FAMILY_OUTPUTS: Mapping[str, tuple[str, ...]] = {
    "images": ("image",),
    "edits": ("image",),
    "video": ("video",),
    "music": ("audio",),
    "tts": ("audio",),
    "stt": ("text",),
    "3d": ("model", "image"),
    "ocr": ("text", "image"),
    "embeddings": ("data",),
    "chat": ("text",),
    "moderation": ("text",),
}
_COUNTED = frozenset({"images", "edits"})  # the request has the number of files
_ENDPOINTS = tuple(FAMILY_OUTPUTS)
_MISSING = 255
_ANY_NUMBER = 0
_KEY_BYTES = 16
_MAX_HINTS = 1000
_MAX_CYCLES = 20
_MAX_CYCLE_IDS = 8  # in a message


def references_of(task: Task) -> Iterator[tuple[str, Reference]]:
    """Yield the references of a task in order, each with the name of its parameter."""
    for name, value in task.inputs.items():
        for reference in _inside(value):
            yield name, reference


def _inside(value: Input) -> Iterator[Reference]:
    match value:
        case Reference():
            yield value
        case tuple():
            for item in value:
                yield from _inside(item)
        case Mapping():
            for item in value.values():
                yield from _inside(item)
        case _:
            pass


def replace_references(value: Input, replace: Callable[[Reference], Input]) -> Input:
    """Return a value with each reference in it replaced by the result of `replace`."""
    match value:
        case Reference():
            return replace(value)
        case tuple():
            return tuple(replace_references(item, replace) for item in value)
        case Mapping():
            return {name: replace_references(item, replace) for name, item in value.items()}
        case _:
            return value


class References:
    """The references of one manifest.

    A dependent is a task with references; a source is a task that is referred to. Sources are
    numbered from 0. `add` collects the references in a first reading of the manifest,
    `find_sources` looks up their sources in a second one.
    """

    def __init__(self) -> None:
        # One item per reference:
        self._dependents = array("q")
        self._sources = array("q")
        self._file_numbers = array("H")
        self._accepted = array("B")  # the kinds of file that are accepted: index of `_kinds`
        self._kinds: list[tuple[str, ...]] = []
        # One item per source, sorted by the hash of its id:
        self._ids = array("q")
        self._keys = bytearray()
        self._endpoints = bytearray()  # index of `_ENDPOINTS`
        self._file_counts = array("L")
        self._hints: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._dependents)

    @property
    def source_count(self) -> int:
        """The number of sources."""
        return len(self._ids)

    @property
    def dependent_count(self) -> int:
        """The number of tasks with references."""
        return len(set(self._dependents))

    def add(self, task: Task) -> None:
        """Add the references of a task."""
        for _, reference in references_of(task):
            self._dependents.append(hash(task.id))
            self._sources.append(hash(reference.source))
            self._file_numbers.append(reference.n)
            if reference.families not in self._kinds:
                self._kinds.append(reference.families)
            self._accepted.append(self._kinds.index(reference.families))

    def find_sources(self, tasks: Iterable[Task]) -> None:
        """Find the sources of all references; tasks: all tasks of the manifest."""
        self._ids = array("q", sorted(set(self._sources)))
        self._keys = bytearray(_KEY_BYTES * self.source_count)
        self._endpoints = bytearray([_MISSING]) * self.source_count
        self._file_counts = array("L", [_ANY_NUMBER]) * self.source_count
        for task in tasks:
            number = self.number(task.id)
            if number is not None:
                at = _KEY_BYTES * number
                self._keys[at : at + _KEY_BYTES] = bytes.fromhex(task.key)
                self._endpoints[number] = _ENDPOINTS.index(task.endpoint)
                self._file_counts[number] = _file_count(task)
            if len(self._hints) < _MAX_HINTS:
                self._hints.append(task.id)

    def number(self, task_id: str) -> int | None:
        """Return the number of a source; None if no task refers to this one."""
        hashed_id = hash(task_id)
        return bisect_left(self._ids, hashed_id) if self._is_source(hashed_id) else None

    def _is_source(self, hashed_id: int) -> bool:
        at = bisect_left(self._ids, hashed_id)
        return at < len(self._ids) and self._ids[at] == hashed_id

    def key(self, number: int) -> str:
        """Return the key of a source."""
        return self._keys[_KEY_BYTES * number : _KEY_BYTES * (number + 1)].hex()

    def problems(
        self, tasks: Callable[[], Iterable[Task]], *, rows_valid: bool
    ) -> Iterator[Problem]:
        """Yield the problems of the references; `tasks` is called only if there are any.

        rows_valid: whether all rows became tasks. If not, a missing source may be one of them.
        """
        invalid = self._dependents_with_errors()
        cycles = list(self._cycles())
        in_cycles = {hashed_id for cycle in cycles for hashed_id in cycle}
        if not invalid and not in_cycles:
            return
        cycle_tasks: dict[int, Task] = {}
        for task in tasks():
            if not task.inputs:
                continue
            hashed_id = hash(task.id)
            if hashed_id in invalid:
                for name, reference in references_of(task):
                    if message := self._error(task, reference, rows_valid=rows_valid):
                        yield Problem(task.file, task.line, f"`{name}`: {message}")
            if hashed_id in in_cycles:
                cycle_tasks[hashed_id] = task
        for cycle in cycles:
            yield from _cycle_problem([cycle_tasks[id_] for id_ in cycle if id_ in cycle_tasks])

    def _dependents_with_errors(self) -> set[int]:
        """Return the dependents with a reference that is wrong even without a cycle."""
        invalid = set()
        for dependent, source, n, accepted in zip(
            self._dependents, self._sources, self._file_numbers, self._accepted, strict=True
        ):
            number = bisect_left(self._ids, source)
            if dependent == source or not self._has_file(number, n, self._kinds[accepted]):
                invalid.add(dependent)
        return invalid

    def _has_file(self, number: int, n: int, families: tuple[str, ...]) -> bool:
        endpoint = self._endpoints[number]
        if endpoint == _MISSING:
            return False
        count = self._file_counts[number]
        if count != _ANY_NUMBER and n > count:
            return False
        return not families or not set(families).isdisjoint(FAMILY_OUTPUTS[_ENDPOINTS[endpoint]])

    def _error(self, task: Task, reference: Reference, *, rows_valid: bool) -> str | None:
        source = one_line(reference.source, 60)
        if reference.source == task.id:
            return f"{source!r} is this row itself; give the id of another row"
        number = self.number(reference.source)
        if number is None or self._endpoints[number] == _MISSING:
            row = "row" if rows_valid else "row without an error"
            return f"no {row} has the id {source!r}; {self._hint(reference.source)}"
        if self._has_file(number, reference.n, reference.families):
            return None
        count = self._file_counts[number]
        if count != _ANY_NUMBER and reference.n > count:
            files = "one file" if count == 1 else f"{count} files"
            return f"{source!r} produces {files}; file {reference.n} does not exist"
        family = _ENDPOINTS[self._endpoints[number]]
        return (
            f"{source!r} is a row of the family {family}, which produces"
            f" {' and '.join(FAMILY_OUTPUTS[family])} files; {task.model} takes"
            f" {' or '.join(reference.families)} files here"
        )

    def _hint(self, source: str) -> str:
        if hint := did_you_mean(source, self._hints):
            return f"did you mean {hint!r}?"
        return "ids made by a matrix or `repeat` have a suffix, such as hero-ink or hero-r1"

    def _cycles(self) -> Iterator[list[int]]:
        """Yield at most 20 cycles as hashes of ids, each task before the source it depends on."""
        # A cycle has only tasks that are both dependent and source.
        both = {dependent for dependent in self._dependents if self._is_source(dependent)}
        graph: dict[int, set[int]] = {}
        for dependent, source in zip(self._dependents, self._sources, strict=True):
            if dependent != source and source in both and dependent in both:
                graph.setdefault(dependent, set()).add(source)
        for _ in range(_MAX_CYCLES):
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                cycle: list[int] = error.args[1][1:]
                yield cycle[::-1]
                for hashed_id in cycle:
                    graph.pop(hashed_id, None)
            else:
                return


def _file_count(task: Task) -> int:
    """Return the number of files that a source produces; _ANY_NUMBER if it is not known."""
    if task.endpoint not in _COUNTED:
        return _ANY_NUMBER
    counts = [task.params[key] for key in COUNT_KEYS if task.params.get(key) is not None]
    return image_count(task) if all(type(count) is int for count in counts) else _ANY_NUMBER


def _cycle_problem(cycle: list[Task]) -> Iterator[Problem]:
    """Yield one problem at the first row of a cycle."""
    if not cycle:
        return
    start = min(range(len(cycle)), key=lambda at: cycle[at].ordinal)
    rows = [*cycle[start:], *cycle[:start]]
    ids = [one_line(task.id, 60) for task in (*rows[:_MAX_CYCLE_IDS], rows[0])]
    rest = len(rows) - _MAX_CYCLE_IDS
    more = f" (and {rest} more)" if rest > 0 else ""
    message = f"circular references: {' -> '.join(ids)}{more}; remove one of them"
    yield Problem(rows[0].file, rows[0].line, message)
