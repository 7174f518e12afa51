"""What the tasks of a manifest take from one another: held compactly, and checked.

Of a million tasks only those that refer and those that are referred to are held, as hashes of
their ids in arrays: some 25 bytes a reference, some 30 a source. Ids are told apart by Python's
own 64-bit hash, as `Occurrences` does.
"""

from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter

from batchgen.provider.catalog.translate import COUNT_KEYS
from batchgen.provider.pricing import image_count
from batchgen.text import did_you_mean, one_line
from batchgen.types import Input, Problem, Reference, Task

# The kinds of file that each family comes to, as far as it is known.
GIVES: Mapping[str, tuple[str, ...]] = {
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
_COUNTED = frozenset({"images", "edits"})  # whose requests tell how many files come of them
_ENDPOINTS = tuple(GIVES)
_MISSING = 255
_ANY_NUMBER = 0
_KEY_BYTES = 16
_MOST_HINTS = 1000
_MOST_CYCLES = 20
_SHOWN = 8  # ids of a cycle


def references_of(task: Task) -> Iterator[tuple[str, Reference]]:
    """The references of a task in their order, each with the parameter that it stands in."""
    for name, value in task.inputs.items():
        for reference in _inside(value):
            yield name, reference


def _inside(value: Input) -> Iterator[Reference]:
    match value:
        case Reference():
            yield value
        case tuple():
            for one in value:
                yield from _inside(one)
        case Mapping():
            for one in value.values():
                yield from _inside(one)
        case _:
            pass


def placed(value: Input, make: Callable[[Reference], Input]) -> Input:
    """A value with something else in the place of each of its references."""
    match value:
        case Reference():
            return make(value)
        case tuple():
            return tuple(placed(one, make) for one in value)
        case Mapping():
            return {name: placed(one, make) for name, one in value.items()}
        case _:
            return value


class References:
    """The references of one manifest: noted while it is read, learned of in a second reading.

    Sources are the tasks that others refer to; they are numbered from 0.
    """

    def __init__(self) -> None:
        self._takers = array("q")
        self._sources = array("q")
        self._numbers = array("H")  # n of each
        self._wishes = array("B")  # the kinds of file of each, as an index of `_kinds`
        self._kinds: list[tuple[str, ...]] = []
        self._ids = array("q")
        self._keys = bytearray()
        self._gives = bytearray()
        self._counts = array("L")
        self._hints: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._takers)

    @property
    def count(self) -> int:
        """How many sources there are."""
        return len(self._ids)

    @property
    def takers(self) -> int:
        """How many tasks refer to others."""
        return len(set(self._takers))

    def note(self, task: Task) -> None:
        """Remember what a task refers to."""
        for _, reference in references_of(task):
            self._takers.append(hash(task.id))
            self._sources.append(hash(reference.source))
            self._numbers.append(reference.n)
            if reference.families not in self._kinds:
                self._kinds.append(reference.families)
            self._wishes.append(self._kinds.index(reference.families))

    def learn(self, tasks: Iterable[Task]) -> None:
        """Learn of every source from the tasks of the whole manifest, read once more."""
        self._ids = array("q", sorted(set(self._sources)))
        self._keys = bytearray(_KEY_BYTES * self.count)
        self._gives = bytearray([_MISSING]) * self.count
        self._counts = array("L", [_ANY_NUMBER]) * self.count
        for task in tasks:
            number = self.number(task.id)
            if number is not None:
                at = _KEY_BYTES * number
                self._keys[at : at + _KEY_BYTES] = bytes.fromhex(task.key)
                self._gives[number] = _ENDPOINTS.index(task.endpoint)
                self._counts[number] = _files_of(task)
            if len(self._hints) < _MOST_HINTS:
                self._hints.append(task.id)

    def number(self, task_id: str) -> int | None:
        """The number of a source; None for a task that nobody refers to."""
        value = hash(task_id)
        return bisect_left(self._ids, value) if self._is_source(value) else None

    def _is_source(self, value: int) -> bool:
        at = bisect_left(self._ids, value)
        return at < len(self._ids) and self._ids[at] == value

    def key(self, number: int) -> str:
        """The key of a source."""
        return self._keys[_KEY_BYTES * number : _KEY_BYTES * (number + 1)].hex()

    def problems(self, tasks: Callable[[], Iterable[Task]], *, sound: bool) -> Iterator[Problem]:
        """What is wrong with the references; `tasks` are read once more where anything is.

        sound: whether the rows themselves are right; one that is not may be the one that misses.
        """
        faulty = self._faulty()
        circles = list(self._circles())
        round_about = {one for circle in circles for one in circle}
        if not faulty and not round_about:
            return
        met: dict[int, Task] = {}
        for task in tasks():
            if not task.inputs:
                continue
            mark = hash(task.id)
            if mark in faulty:
                for name, reference in references_of(task):
                    if told := self._fault(task, reference, sound=sound):
                        yield Problem(task.file, task.line, f"`{name}`: {told}")
            if mark in round_about:
                met[mark] = task
        for circle in circles:
            yield from _told([met[one] for one in circle if one in met])

    def _faulty(self) -> set[int]:
        """The tasks with a reference that cannot be right by itself."""
        faulty = set()
        for taker, source, n, wish in zip(
            self._takers, self._sources, self._numbers, self._wishes, strict=True
        ):
            at = bisect_left(self._ids, source)
            if taker == source or not self._can_give(at, n, self._kinds[wish]):
                faulty.add(taker)
        return faulty

    def _can_give(self, number: int, n: int, families: tuple[str, ...]) -> bool:
        gives = self._gives[number]
        if gives == _MISSING:
            return False
        count = self._counts[number]
        if count != _ANY_NUMBER and n > count:
            return False
        return not families or not set(families).isdisjoint(GIVES[_ENDPOINTS[gives]])

    def _fault(self, task: Task, reference: Reference, *, sound: bool) -> str | None:
        source = one_line(reference.source, 60)
        if reference.source == task.id:
            return f"{source!r} is this row itself; name another row"
        number = self.number(reference.source)
        if number is None or self._gives[number] == _MISSING:
            hint = did_you_mean(reference.source, self._hints)
            row = "row" if sound else "row without an error of its own"
            return f"no {row} has the id {source!r}" + (
                f"; did you mean {hint!r}?" if hint else "; ids are those of the results manifest"
            )
        if self._can_give(number, reference.n, reference.families):
            return None
        count = self._counts[number]
        if count != _ANY_NUMBER and reference.n > count:
            files = "one file" if count == 1 else f"{count} files"
            return f"{source!r} comes to {files}, and file {reference.n} is wanted"
        family = _ENDPOINTS[self._gives[number]]
        wanted = " or ".join(reference.families)
        return (
            f"{source!r} is of the family {family}, which gives {' and '.join(GIVES[family])}"
            f" files; {task.model} takes {wanted} here"
        )

    def _circles(self) -> Iterator[list[int]]:
        """Circles of tasks that take from one another, in the order in which they do."""
        both = {taker for taker in self._takers if self._is_source(taker)}
        graph: dict[int, set[int]] = {}
        for taker, source in zip(self._takers, self._sources, strict=True):
            if taker != source and source in both and taker in both:
                graph.setdefault(taker, set()).add(source)
        for _ in range(_MOST_CYCLES):
            try:
                TopologicalSorter(graph).prepare()
            except CycleError as error:
                circle: list[int] = error.args[1][1:]
                yield circle[::-1]
                for one in circle:
                    graph.pop(one, None)
            else:
                return


def _files_of(task: Task) -> int:
    """How many files a source comes to; _ANY_NUMBER where its request does not tell."""
    if task.endpoint not in _COUNTED:
        return _ANY_NUMBER
    given = [task.params[key] for key in COUNT_KEYS if task.params.get(key) is not None]
    return image_count(task) if all(type(one) is int for one in given) else _ANY_NUMBER


def _told(circle: list[Task]) -> Iterator[Problem]:
    """A circle, told at the first of its rows."""
    if not circle:
        return
    start = min(range(len(circle)), key=lambda at: circle[at].ordinal)
    rows = [*circle[start:], *circle[:start]]
    ids = [one_line(task.id, 60) for task in (*rows[:_SHOWN], rows[0])]
    more = f" (and {len(rows) - _SHOWN} more)" if len(rows) > _SHOWN else ""
    chain = " takes from ".join(ids)
    yield Problem(
        rows[0].file, rows[0].line, f"{chain}{more}: none of them can be the first to be made"
    )
