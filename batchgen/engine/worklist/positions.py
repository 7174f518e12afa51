"""Updates the ledger when rows move in the manifest or disappear from it."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from batchgen.engine.worklist.worklist import watch_tasks
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.rows import Position
from batchgen.types import Problem, Status, Task

_MOVES_PER_COMMIT = 20_000  # a row inserted at the top moves all others
_READ_AHEAD = 2000  # tasks read from the ledger beyond the position in the manifest
_MAX_NEARBY = 4 * _READ_AHEAD
_GROWTH = 4096  # tasks by which the table of listed tasks grows
_SUCCEEDED = str(Status.SUCCEEDED)


class Positions:
    """Updates the ledger: positions of tasks, and which tasks the manifest no longer lists.

    Holds one byte per task of the ledger.

    is_counted: whether a task counts in the job's total; a shard counts only its own.
    count: the job's total. done: the number of tasks that have succeeded and were not edited since.
    has_changed: whether any task has moved, returned or disappeared since the last run.
    """

    def __init__(
        self, ledger: Ledger | None = None, is_counted: Callable[[Task], bool] | None = None
    ) -> None:
        self._is_counted = is_counted
        self._ledger = None if ledger is None or ledger.is_empty() else ledger
        self._positions = None if self._ledger is None else _LedgerPositions(self._ledger)
        self._moved: list[tuple[int, str, int, int]] = []
        self._listed = bytearray()
        self._still_listed = 0  # tasks of this manifest that the last one listed too
        self._tasks = 0
        self.count = 0
        self.done = 0
        self._moves = 0
        self.has_changed = True

    def watch(self, items: Iterable[Task | Problem]) -> Iterator[Task | Problem]:
        """Yield the items unchanged, and record the position of each task."""
        return watch_tasks(items, self._record)

    def close(self) -> None:
        """Commit the last moves, and mark tasks that the manifest no longer lists.

        Call it after the whole manifest was read.
        """
        if self._ledger is None or self._positions is None:
            return
        self._positions.close()
        dropped = []
        if self._still_listed < self._ledger.count_listed():
            dropped = [task for task in self._ledger.listed() if not self._is_listed(task)]
        if self._moved or dropped:
            self._ledger.reposition(self._moved, dropped)
        self.has_changed = bool(self._moves or dropped)
        self._moved.clear()

    def is_all_done(self) -> bool:
        """Return whether every task of the manifest has succeeded and was not edited since."""
        return self.done == self._tasks

    def _record(self, chunk: list[Task]) -> None:
        self._tasks += len(chunk)
        self.count += sum(map(self._is_counted, chunk)) if self._is_counted else len(chunk)
        if self._positions is not None:
            self._compare(chunk, self._positions.find([task.key for task in chunk]))
            if len(self._moved) >= _MOVES_PER_COMMIT and self._ledger is not None:
                self._ledger.reposition(self._moved, ())
                self._moved.clear()

    def _compare(self, chunk: list[Task], positions: Sequence[Position | None]) -> None:
        for task, position in zip(chunk, positions, strict=True):
            if position is None:
                continue
            _, number, ordinal, line, listed, digest, status = position
            if number >= len(self._listed):
                self._listed.extend(bytes(number + _GROWTH - len(self._listed)))
            self._listed[number] = 1
            self._still_listed += listed
            self.done += status == _SUCCEEDED and digest == task.digest
            if ordinal != task.ordinal or line != task.line or not listed:
                self._moved.append((task.ordinal, task.file, task.line, number))
                self._moves += 1

    def _is_listed(self, number: int) -> bool:
        return number < len(self._listed) and self._listed[number] == 1


class _LedgerPositions:
    """Finds the tasks of a manifest in the ledger, which mostly has them in the same order.

    The ledger is read in parallel to the manifest, which is ten times as fast as looking up each
    task. Only tasks that are not among those just read are looked up.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._stream = ledger.positions()
        self._nearby: dict[str, Position] = {}
        self._is_same_order = True

    def find(self, keys: list[str]) -> Sequence[Position | None]:
        """Return the position of each task; None for one that the ledger does not have."""
        upcoming = list(islice(self._stream, len(keys)))
        if self._is_same_order:
            if keys == [position[0] for position in upcoming]:
                return upcoming
            self._is_same_order = False
            upcoming.extend(islice(self._stream, _READ_AHEAD))
        return self._find_nearby(keys, upcoming)

    def _find_nearby(self, keys: list[str], upcoming: list[Position]) -> Sequence[Position | None]:
        nearby = self._nearby
        nearby.update((position[0], position) for position in upcoming)
        by_key = {key: nearby.pop(key) for key in keys if key in nearby}
        if len(nearby) > _MAX_NEARBY:
            for key in list(islice(nearby, len(nearby) - _READ_AHEAD)):
                del nearby[key]
        if len(by_key) < len(keys):
            missing = [key for key in keys if key not in by_key]
            by_key.update(
                (position[0], position) for position in self._ledger.positions_of(missing)
            )
        return [by_key.get(key) for key in keys]

    def close(self) -> None:
        """Close the query."""
        self._stream.close()
