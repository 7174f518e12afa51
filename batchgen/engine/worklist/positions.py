"""What a run has to do: the manifest's tasks, narrowed by flags, less what the ledger has done."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from batchgen.engine.worklist.worklist import watch_tasks
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.rows import Position
from batchgen.types import Problem, Status, Task

_MOVED_AT_ONCE = 20_000  # moves committed together: a row put in at the top moves all the others
_AHEAD = 2000  # how far the ledger may run ahead of the manifest, or fall behind it
_MOST_NEAR = 4 * _AHEAD
_MORE = 4096  # tasks for which room is made at once
_SUCCEEDED = str(Status.SUCCEEDED)


class Positions:
    """Tells the ledger where tasks stand in the manifest now, and which are no longer in it.

    Kept for each task of the ledger: one byte. counts: the tasks that make up the job's total,
    which of a shard are its own.
    done: tasks of the manifest that have succeeded as they stand in it now.
    has_changed: whether any task stands elsewhere than in the last manifest.
    """

    def __init__(
        self, ledger: Ledger | None = None, counts: Callable[[Task], bool] | None = None
    ) -> None:
        self._counts = counts
        self._ledger = None if ledger is None or ledger.is_empty() else ledger
        self._known = None if self._ledger is None else _Known(self._ledger)
        self._moved: list[tuple[int, str, int, int]] = []
        self._seen = bytearray()
        self._still_listed = 0  # tasks that the last manifest had as well
        self._tasks = 0
        self.count = 0
        self.done = 0
        self._moves = 0
        self.has_changed = True

    def watch(self, items: Iterable[Task | Problem]) -> Iterator[Task | Problem]:
        """Pass items through and note where each task stands."""
        return watch_tasks(items, self._note)

    def close(self) -> None:
        """The whole manifest was seen: what it does not have is unlisted."""
        if self._ledger is None or self._known is None:
            return
        self._known.close()
        gone = []
        if self._still_listed < self._ledger.count_listed():
            gone = [task for task in self._ledger.listed() if not self._is_seen(task)]
        if self._moved or gone:
            self._ledger.reposition(self._moved, gone)
        self.has_changed = bool(self._moves or gone)
        self._moved.clear()

    def is_all_done(self) -> bool:
        """Whether every task of the manifest has succeeded as it stands there now."""
        return self.done == self._tasks

    def _note(self, chunk: list[Task]) -> None:
        self._tasks += len(chunk)
        self.count += sum(map(self._counts, chunk)) if self._counts else len(chunk)
        if self._known is not None:
            self._place(chunk, self._known.places([task.key for task in chunk]))
            if len(self._moved) >= _MOVED_AT_ONCE and self._ledger is not None:
                self._ledger.reposition(self._moved, ())
                self._moved.clear()

    def _place(self, chunk: list[Task], places: Sequence[Position | None]) -> None:
        for task, place in zip(chunk, places, strict=True):
            if place is None:
                continue
            _, number, ordinal, line, listed, digest, status = place
            if number >= len(self._seen):
                self._seen.extend(bytes(number + _MORE - len(self._seen)))
            self._seen[number] = 1
            self._still_listed += listed
            self.done += status == _SUCCEEDED and digest == task.digest
            if ordinal != task.ordinal or line != task.line or not listed:
                self._moved.append((task.ordinal, task.file, task.line, number))
                self._moves += 1

    def _is_seen(self, number: int) -> bool:
        return number < len(self._seen) and self._seen[number] == 1


class _Known:
    """Finds tasks in the ledger at the pace of a manifest, which mostly has them in its order.

    The ledger is read beside the manifest from its first task to its last, which takes a tenth of
    looking each task up; what does not come in time is looked up.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._coming = ledger.positions()
        self._near: dict[str, Position] = {}
        self._in_step = True

    def places(self, keys: list[str]) -> Sequence[Position | None]:
        """Where each of these tasks stands; None for one that the ledger does not know."""
        coming = list(islice(self._coming, len(keys)))
        if self._in_step:
            if keys == [place[0] for place in coming]:
                return coming
            self._in_step = False
            coming.extend(islice(self._coming, _AHEAD))
        return self._out_of_step(keys, coming)

    def _out_of_step(self, keys: list[str], coming: list[Position]) -> Sequence[Position | None]:
        near = self._near
        near.update((place[0], place) for place in coming)
        found = {key: near.pop(key) for key in keys if key in near}
        if len(near) > _MOST_NEAR:
            for key in list(islice(near, len(near) - _AHEAD)):
                del near[key]
        if len(found) < len(keys):
            missing = [key for key in keys if key not in found]
            found.update((place[0], place) for place in self._ledger.positions_of(missing))
        return [found.get(key) for key in keys]

    def close(self) -> None:
        """Let go of the ledger."""
        self._coming.close()
