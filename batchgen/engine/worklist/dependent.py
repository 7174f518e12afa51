"""What a run has to do where tasks take the artifacts of other tasks: each after its sources.

The manifest is read in order. A task whose source has not ended is held, and comes as soon as it
has. Of held ones there are some thousands at most; what comes beyond them is noted by its key
and left for a further reading of the manifest. A reading that puts tasks off has filled all places,
and the next one begins when half of them are free again, when as many sources have ended, or when
nothing is under way that could free them. So each makes progress: what takes from nobody, or from
tasks that have ended, is never put off. A held task takes no place in the queue and none of
`limits.pending`, and holds no worker.
"""

import asyncio
from array import array
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Generator, Iterator
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from batchgen.engine.worklist.dependencies import Dependencies, DependencyState, ResolvedTask
from batchgen.engine.worklist.selection import Selection
from batchgen.engine.worklist.worklist import without_problems
from batchgen.manifest.open import Manifest
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import public_status
from batchgen.types import Outcome, Prior, Status, Task, WorkItem

MOST_HELD = 4096
_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.SKIPPED)

_Marks: TypeAlias = "array[int]"


class _Candidate(msgspec.Struct):
    """A task, what the ledger knew of it, and how many of its sources it still waits for."""

    task: Task
    prior: Prior | None
    selected: bool
    awaited: int = 0


class DependentWorklist(msgspec.Struct):
    """The tasks that are left, each once its sources have ended.

    tell_passed: hears how many more tasks nothing has to be done about. passed: how those stand.
    left: tasks that wait for sources which this run does not come to or does not settle.
    most: how many tasks may be held.
    """

    manifest: Manifest
    ledger: Ledger
    selection: Selection
    sources: Dependencies
    tell_passed: Callable[[int], None] = lambda _: None
    most: int = MOST_HELD
    passed: Counter[Status] = msgspec.field(default_factory=Counter)
    left: int = 0
    _held: dict[int, list[_Candidate]] = msgspec.field(default_factory=lambda: defaultdict(list))
    _held_count: int = 0
    _released: deque[_Candidate] = msgspec.field(default_factory=deque)
    _under_way: int = 0  # sources that were given out and have not ended
    _come: int = 0  # tasks that were decided about
    _freed: int = 0  # sources that have ended since the manifest was last read from its beginning
    _waits: bool = False
    _changed: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def items(self) -> Iterator[WorkItem | None]:
        """What is left; None where the caller may let others run, by `turn`.

        Raises RejectedError when the manifest no longer reads as it was checked.
        """
        put_off: _Marks | None = None
        while put_off is None or put_off or self._held_count or self._released:
            come, idle = self._come, not self._under_way
            put_off = yield from self._reading(put_off)
            yield from self._releases()
            while self._must_wait(put_off):
                self._waits = True
                yield None
                yield from self._releases()
            if idle and self._come == come:
                self._give_up()

    def settle(self, work: WorkItem, outcome: Outcome | None) -> None:
        """Hear what came of a work; None where it was left for a later run."""
        number = self.sources.number(work.task)
        if number is not None:
            self._under_way -= 1
            ended = outcome is not None and outcome.status in _ENDED
            self._put(number, DependencyState.ENDED if ended else DependencyState.AWAY)
            self._freed += 1
            self._changed.set()

    async def turn(self) -> None:
        """Let others run; where nothing can be done before one of them has ended, wait for it."""
        if not self._waits:
            await asyncio.sleep(0)
            return
        self._waits = False
        self._changed.clear()
        await self._changed.wait()

    def _must_wait(self, put_off: _Marks) -> bool:
        if not self._held_count or not self._under_way:
            return False
        half = max(1, self.most // 2)
        return not put_off or (self._held_count >= half and self._freed < half)

    def _reading(self, wanted: "_Marks | None") -> "Generator[WorkItem | None, None, _Marks]":
        """Read the manifest, for all of its tasks or those put off; return who is put off now."""
        put_off: _Marks = array("Q")
        self._freed = 0
        tasks = self._tasks() if wanted is None else _those(self._tasks(), wanted)
        for chunk in self.ledger.with_priors(tasks, lambda one: one[0].key):
            self.sources.look_up(task for (task, _), _ in chunk)
            before = self.passed.total()
            for (task, selected), prior in chunk:
                one = _Candidate(task, prior, selected)
                awaited = self.sources.open_of(task) if task.inputs else ()
                if not awaited:
                    yield from self._decided(one)
                elif self._held_count < self.most:
                    self._hold(one, awaited)
                else:
                    put_off.append(_mark(task))
                yield from self._releases()
            self.tell_passed(self.passed.total() - before)
            yield None
        return put_off

    def _tasks(self) -> Iterator[tuple[Task, bool]]:
        """The tasks that this run is about and those that others refer to, told apart."""
        taken = 0
        limit = self.selection.limit
        for task in without_problems(self.manifest.tasks(check=False)):
            selected = self.selection.selects(task) and (limit is None or taken < limit)
            taken += selected
            if selected or self.sources.number(task) is not None:
                yield task, selected

    def _hold(self, one: _Candidate, awaited: set[int]) -> None:
        one.awaited = len(awaited)
        for number in awaited:
            self._held[number].append(one)
        self._held_count += 1

    def _put(self, number: int, stand: DependencyState) -> None:
        """A source stands so from now on: whoever waits for it alone is released."""
        self.sources.put(number, stand)
        for one in self._held.pop(number, ()):
            one.awaited -= 1
            if not one.awaited:
                self._held_count -= 1
                self._released.append(one)

    def _releases(self) -> Iterator[WorkItem]:
        while self._released:
            yield from self._decided(self._released.popleft())

    def _give_up(self) -> None:
        """Nothing more will be heard of sources that were checked and never came."""
        for number in self.sources.all_open():
            self._put(number, DependencyState.AWAY)

    def _decided(self, one: _Candidate) -> Iterator[WorkItem]:
        """What is to be done about a task whose sources have ended; nothing, where nothing is."""
        self._come += 1
        number = self.sources.number(one.task)
        fed = self.sources.feed(one.task) if one.task.inputs else ResolvedTask(one.task)
        work = self._work(fed, one.prior)
        if work is not None and one.selected:
            self.left += work.ended is not None and work.ended.status is Status.PENDING
            self._under_way += number is not None
            yield work
            return
        if one.selected and one.prior is not None:
            self.passed[public_status(one.prior.status)] += 1
        if number is not None:
            usable = work is None and (one.selected or _has_succeeded(one.prior))
            self._put(number, DependencyState.STANDING if usable else DependencyState.AWAY)

    def _work(self, fed: ResolvedTask, prior: Prior | None) -> WorkItem | None:
        work = self.selection.decide(fed.task, prior)
        if work is None or fed.ended is None:
            return work
        if _is_skipped_already(fed, prior) and not self.sources.any_ended(fed.task):
            return None
        return replace(work, ended=fed.ended)


def _mark(task: Task) -> int:
    """Eight bytes of its key: a manifest that is edited in mid-run makes no other task of it."""
    return int(task.key[:16], 16)


def _those(tasks: Iterator[tuple[Task, bool]], marks: _Marks) -> Iterator[tuple[Task, bool]]:
    """The tasks with these marks, which stand in the same order."""
    wanted = iter(marks)
    mark = next(wanted, None)
    while mark is not None:
        for task, selected in tasks:
            if _mark(task) == mark:
                yield task, selected
                break
        else:
            return
        mark = next(wanted, None)


def _is_skipped_already(fed: ResolvedTask, prior: Prior | None) -> bool:
    if prior is None or fed.ended is None or prior.digest != fed.task.digest:
        return False
    return prior.status is fed.ended.status is Status.SKIPPED


def _has_succeeded(prior: Prior | None) -> bool:
    return prior is not None and prior.status is Status.SUCCEEDED
