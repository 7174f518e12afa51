"""The worklist if tasks depend on other tasks: each task comes after its sources.

The manifest is read in order. A task waits in memory until all of its sources have ended. At most
`max_waiting` tasks wait; further ones are deferred: only part of their key is kept, for another
pass over the manifest. The next pass starts when half of `max_waiting` places are free, when that
number of sources has ended, or when no source is in flight. Every pass makes progress, since a task
without open sources is never deferred. A waiting task occupies no worker, no place in the queue and
no remote slot.
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

_MAX_WAITING = 4096
_ENDED = (Status.SUCCEEDED, Status.FAILED, Status.REFUSED, Status.SKIPPED)

_KeyPrefixes: TypeAlias = "array[int]"


class _Candidate(msgspec.Struct):
    """A task, its row in the ledger, and how many of its sources it waits for."""

    task: Task
    prior: Prior | None
    is_selected: bool
    awaited: int = 0


class DependentWorklist(msgspec.Struct):
    """The tasks that are left, each after its sources.

    on_untouched: called with the number of further tasks that need nothing.
    max_waiting: how many tasks may wait for their sources.
    untouched: the number of tasks that need nothing, by status.
    left_pending: the number of tasks whose sources do not end in this run.
    """

    manifest: Manifest
    ledger: Ledger
    selection: Selection
    sources: Dependencies
    on_untouched: Callable[[int], None] = lambda _: None
    max_waiting: int = _MAX_WAITING
    untouched: Counter[Status] = msgspec.field(default_factory=Counter)
    left_pending: int = 0
    _waiting: dict[int, list[_Candidate]] = msgspec.field(default_factory=lambda: defaultdict(list))
    _waiting_count: int = 0
    _released: deque[_Candidate] = msgspec.field(default_factory=deque)
    _in_flight: int = 0  # sources that were yielded and have not ended
    _decided: int = 0  # tasks, in all passes
    _ended_sources: int = 0  # since the current pass began
    _must_wait: bool = False  # nothing can be done until a source ends
    _source_ended: asyncio.Event = msgspec.field(default_factory=asyncio.Event)

    def items(self) -> Iterator[WorkItem | None]:
        """Yield the tasks that are left; yield None when the caller should `yield_control`.

        Raises RejectedError if the manifest has an error that the check did not find.
        """
        deferred: _KeyPrefixes | None = None
        while deferred is None or deferred or self._waiting_count or self._released:
            decided, is_idle = self._decided, not self._in_flight
            deferred = yield from self._read_manifest(deferred)
            yield from self._yield_released()
            while self._has_to_wait(deferred):
                self._must_wait = True
                yield None
                yield from self._yield_released()
            if is_idle and self._decided == decided:
                self._give_up_open_sources()

    def mark_done(self, work: WorkItem, outcome: Outcome | None) -> None:
        """Record that a task has ended, after its commit; None if this run did not start it."""
        number = self.sources.number(work.task)
        if number is not None:
            self._in_flight -= 1
            ended = outcome is not None and outcome.status in _ENDED
            self._set_state(number, DependencyState.ENDED if ended else DependencyState.UNAVAILABLE)
            self._ended_sources += 1
            self._source_ended.set()

    async def yield_control(self) -> None:
        """Let other asyncio tasks run; wait for a source to end if nothing else can be done."""
        if not self._must_wait:
            await asyncio.sleep(0)
            return
        self._must_wait = False
        self._source_ended.clear()
        await self._source_ended.wait()

    def _has_to_wait(self, deferred: _KeyPrefixes) -> bool:
        if not self._waiting_count or not self._in_flight:
            return False
        half = max(1, self.max_waiting // 2)
        return not deferred or (self._waiting_count >= half and self._ended_sources < half)

    def _read_manifest(
        self, wanted: "_KeyPrefixes | None"
    ) -> Generator[WorkItem | None, None, _KeyPrefixes]:
        """Make a pass over all tasks or the wanted ones; return those that are deferred now."""
        deferred: _KeyPrefixes = array("Q")
        self._ended_sources = 0
        tasks = self._tasks() if wanted is None else _filter_by_key(self._tasks(), wanted)
        for chunk in self.ledger.with_priors(tasks, lambda pair: pair[0].key):
            self.sources.look_up(task for (task, _), _ in chunk)
            before = self.untouched.total()
            for (task, is_selected), prior in chunk:
                candidate = _Candidate(task, prior, is_selected)
                awaited = self.sources.open_sources_of(task) if task.inputs else ()
                if not awaited:
                    yield from self._decide(candidate)
                elif self._waiting_count < self.max_waiting:
                    self._wait(candidate, awaited)
                else:
                    deferred.append(_key_prefix(task))
                yield from self._yield_released()
            self.on_untouched(self.untouched.total() - before)
            yield None
        return deferred

    def _tasks(self) -> Iterator[tuple[Task, bool]]:
        """Yield the selected tasks and the sources, each with whether it is selected."""
        selected = 0
        limit = self.selection.limit
        for task in without_problems(self.manifest.tasks(check=False)):
            is_selected = self.selection.selects(task) and (limit is None or selected < limit)
            selected += is_selected
            if is_selected or self.sources.number(task) is not None:
                yield task, is_selected

    def _wait(self, candidate: _Candidate, awaited: set[int]) -> None:
        candidate.awaited = len(awaited)
        for number in awaited:
            self._waiting[number].append(candidate)
        self._waiting_count += 1

    def _set_state(self, number: int, state: DependencyState) -> None:
        """Set the state of a source; release the tasks that wait for no other one."""
        self.sources.set_state(number, state)
        for candidate in self._waiting.pop(number, ()):
            candidate.awaited -= 1
            if not candidate.awaited:
                self._waiting_count -= 1
                self._released.append(candidate)

    def _yield_released(self) -> Iterator[WorkItem]:
        while self._released:
            yield from self._decide(self._released.popleft())

    def _give_up_open_sources(self) -> None:
        """Release tasks whose sources were checked and are no longer in the manifest."""
        for number in self.sources.all_open():
            self._set_state(number, DependencyState.UNAVAILABLE)

    def _decide(self, candidate: _Candidate) -> Iterator[WorkItem]:
        """Yield the work on a task whose sources have ended, if there is any."""
        self._decided += 1
        task, prior = candidate.task, candidate.prior
        number = self.sources.number(task)
        resolved = self.sources.resolve(task) if task.inputs else ResolvedTask(task)
        work = self._work(resolved, prior)
        if work is not None and candidate.is_selected:
            self.left_pending += work.ended is not None and work.ended.status is Status.PENDING
            self._in_flight += number is not None
            yield work
            return
        if candidate.is_selected and prior is not None:
            self.untouched[public_status(prior.status)] += 1
        if number is not None:
            is_usable = work is None and (candidate.is_selected or _has_succeeded(prior))
            state = DependencyState.UNCHANGED if is_usable else DependencyState.UNAVAILABLE
            self._set_state(number, state)

    def _work(self, resolved: ResolvedTask, prior: Prior | None) -> WorkItem | None:
        work = self.selection.decide(resolved.task, prior)
        if work is None or resolved.ended is None:
            return work
        if _is_skipped_already(resolved, prior) and not self.sources.any_ended(resolved.task):
            return None
        return replace(work, ended=resolved.ended)


def _key_prefix(task: Task) -> int:
    """Return 8 bytes of the key, which stays the same if the manifest is edited during the run."""
    return int(task.key[:16], 16)


def _filter_by_key(
    tasks: Iterator[tuple[Task, bool]], prefixes: _KeyPrefixes
) -> Iterator[tuple[Task, bool]]:
    """Yield the tasks with these key prefixes, which are in the same order."""
    wanted = iter(prefixes)
    prefix = next(wanted, None)
    while prefix is not None:
        for task, is_selected in tasks:
            if _key_prefix(task) == prefix:
                yield task, is_selected
                break
        else:
            return
        prefix = next(wanted, None)


def _is_skipped_already(resolved: ResolvedTask, prior: Prior | None) -> bool:
    if prior is None or resolved.ended is None or prior.digest != resolved.task.digest:
        return False
    return prior.status is resolved.ended.status is Status.SKIPPED


def _has_succeeded(prior: Prior | None) -> bool:
    return prior is not None and prior.status is Status.SUCCEEDED
