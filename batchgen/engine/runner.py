"""Producer, bounded queue, workers, stop: the only module with concurrency.

One producer reads the tasks that are left; N workers in a TaskGroup carry them along the path of
`perform.py`. A task that the provider works on is let go of by its worker and waits on its own;
at most as many as `room` has places. Stop is one event with a reason: workers finish what they
hold, the producer takes no more. The ledger outlives them all.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Protocol

import msgspec
from msgspec.structs import replace

from batchgen.engine.clock import Clock
from batchgen.engine.outcomes import sent_before
from batchgen.engine.perform import Performer
from batchgen.engine.request import alone
from batchgen.engine.stop import Stop, StopReason, Streak
from batchgen.engine.throttle import Budget, BudgetSpentError
from batchgen.errors import BatchgenError
from batchgen.progress import Progress
from batchgen.provider.pricing import Prices
from batchgen.storage.counts import RunCounts
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import ResultsFile
from batchgen.types import Outcome, Status, Task, WorkItem

_LEFT_AT_ONCE = 500
_MOST_LEFT = 100_000  # pending tasks that a stopped run puts down by name
_TICK_S = 1.0


class Source(Protocol):
    """The tasks that are left, in manifest order; and after a stop, those nobody came to."""

    def items(self) -> Iterator[WorkItem | None]:
        """What is left to do; None now and then, where the caller may let others run by `turn`."""

    def settle(self, work: WorkItem, outcome: Outcome | None) -> None:
        """Hear what came of a work, in the ledger by now; None where nobody came to it."""

    async def turn(self) -> None:
        """Let others run, at least until there may be more to do."""


class Runner(msgspec.Struct, frozen=True):
    """Carries all that is left of a job through N workers.

    accompany: makes what goes along with a task's artifacts, once they are in the ledger.
    """

    performer: Performer
    ledger: Ledger
    results: ResultsFile
    progress: Progress
    prices: Prices
    budget: Budget
    stop: Stop
    clock: Clock
    counts: RunCounts
    streak: Streak
    room: asyncio.Semaphore  # for tasks that the provider works on
    after_task: Callable[[Task, Outcome], Awaitable[None]] = alone

    async def run(self, source: Source, *, workers: int, deadline_s: float | None) -> None:
        """Return when nothing is left or the run has stopped; what is in flight is finished.

        An exception that is nobody's fault but this program's comes out as it was raised.
        """
        try:
            await self._run(source, workers, deadline_s)
        except BaseExceptionGroup as group:
            raise _first_of(group) from group

    async def _run(self, source: Source, workers: int, deadline_s: float | None) -> None:
        queue: asyncio.Queue[WorkItem | None] = asyncio.Queue(maxsize=2 * workers)
        items = source.items()
        async with asyncio.TaskGroup() as group:
            timers = [group.create_task(self._tick())]
            if deadline_s is not None:
                timers.append(group.create_task(self._deadline(deadline_s)))
            async with asyncio.TaskGroup() as crew:
                line = _Line(source, queue, crew)
                for _ in range(workers):
                    crew.create_task(self._worker(line))
                crew.create_task(self._produce(items, line, workers))
            if self.stop.is_set() and self.stop.error is None:
                with self._stopping_on_error():
                    async with asyncio.TaskGroup() as crew:
                        line = _Line(source, queue, crew)
                        await self._leave(chain(_left_in(queue), items), line)
            for timer in timers:
                timer.cancel()

    async def _produce(self, items: Iterator[WorkItem | None], line: "_Line", workers: int) -> None:
        with self._stopping_on_error():
            for work in items:
                if work is None:
                    await line.source.turn()
                else:
                    await line.queue.put(work)
                if self.stop.is_set():
                    break
        for _ in range(workers):
            await line.queue.put(None)

    async def _worker(self, line: "_Line") -> None:
        while (work := await line.queue.get()) is not None:
            if work.ended is None and self.performer.waits(work.task):
                await self._begin(work, line)
            else:
                await self._take(work, line)

    async def _begin(self, work: WorkItem, line: "_Line") -> None:
        """Return when the provider works on the task: it is waited for apart from the workers."""
        await self.room.acquire()
        idle = asyncio.Event()

        async def take() -> None:
            try:
                await self._take(work, line, idle.set)
            finally:
                self.room.release()
                idle.set()

        line.crew.create_task(take())
        await idle.wait()

    async def _take(
        self, work: WorkItem, line: "_Line", idle: Callable[[], None] = lambda: None
    ) -> None:
        outcome = None
        try:
            with self._stopping_on_error():
                if self.stop.abandons_remote() or (self.stop.is_set() and not _is_submitted(work)):
                    await self._leave_one(work)
                elif work.ended is not None:
                    await self._put_down(work, work.ended)
                    outcome = work.ended
                else:
                    outcome = await self._carry(work, idle)
        finally:
            line.source.settle(work, outcome)

    async def _put_down(self, work: WorkItem, outcome: Outcome) -> None:
        """A task that ends without anything being sent for it, or waits for a later run."""
        self.progress.task_started(work.task)
        if outcome.status is Status.PENDING:
            await self._leave_one(work)
        else:
            now = self.clock.now()
            outcome = replace(outcome, started_at=now, finished_at=now)
            await self.ledger.record_unsent(work.task, work.generation, outcome, now=now)
            self.results.append(work.task, outcome)
        self._count(work, outcome)
        await self.after_task(work.task, outcome)

    @contextmanager
    def _stopping_on_error(self) -> Iterator[None]:
        """What a person has to mend stops the run; others finish what they hold."""
        try:
            yield
        except BatchgenError as error:
            self.stop.fail(error)

    async def _carry(self, work: WorkItem, idle: Callable[[], None]) -> Outcome | None:
        """One task with what surrounds it: the budget, the ledger's commit, the results line.

        None where there is no money for it.
        """
        price = self.prices.of(work.task)
        counted = (price or 0.0) if _is_sent_again(work) else 0.0
        try:
            if _is_submitted(work):
                reserved = await self.budget.hold((price or 0.0) - counted)
            else:
                reserved = await self.budget.reserve(price, counted_usd=counted)
        except BudgetSpentError as error:
            self.stop.set(StopReason.BUDGET, str(error), kind=error.bound)
            await self._leave_one(work)
            return None
        self.progress.task_started(work.task)
        spent = price or 0.0  # where a bug or a second interrupt cuts it short
        try:
            outcome = await self.performer.perform(work, idle)
            self.counts.resent += _was_sent_again(work, outcome)
            outcome = _priced(outcome, price)
            spent = outcome.cost_usd or 0.0
            if outcome.status in (Status.UNKNOWN, Status.SUBMITTED):
                spent = price or 0.0
            if outcome.status is Status.SUBMITTED or _is_untouched(work, outcome):
                await self._leave_one(work)
            else:
                await self.ledger.record_outcome(work.task, work.generation, outcome)
                self.performer.store.confirm(artifact.path for artifact in outcome.artifacts)
                self.results.append(work.task, outcome)
        finally:
            await self.budget.settle(reserved, spent - counted)
        self._count(work, outcome)
        await self.after_task(work.task, outcome)
        return outcome

    def _count(self, work: WorkItem, outcome: Outcome) -> None:
        self.counts.add(outcome)
        self.progress.task_finished(work.task, outcome)
        dead_end = self.streak.add(outcome)
        if dead_end is not None:
            self.stop.set(StopReason.HALT, dead_end)

    async def _leave_one(self, work: WorkItem) -> None:
        self.counts.not_started += 1
        if work.prior is None:
            await self.ledger.record_pending([work.task])

    async def _leave(self, items: Iterable[WorkItem | None], line: "_Line") -> None:
        """Put down by name what nobody came to, so that the results manifest shows it.

        What the provider works on is paid for: where the budget is spent, it is waited for.
        """
        left = 0
        chunk: list[Task] = []
        for work in items:
            if work is None:
                await line.source.turn()
                continue
            if _is_submitted(work) and not self.stop.abandons_remote():
                await self._begin(work, line)
                continue
            self.counts.not_started += 1
            line.source.settle(work, None)
            if work.prior is None:
                chunk.append(work.task)
            if len(chunk) >= _LEFT_AT_ONCE:
                await self.ledger.record_pending(chunk)
                left += len(chunk)
                chunk.clear()
            if left >= _MOST_LEFT:
                return
        if chunk:
            await self.ledger.record_pending(chunk)

    async def _deadline(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.stop.set(StopReason.DEADLINE, "the deadline has passed")

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(_TICK_S)
            with self._stopping_on_error():
                self.results.flush()
            self.progress.tick()


class _Line(msgspec.Struct, frozen=True):
    """From the producer to the workers; the crew is whoever carries tasks."""

    source: Source
    queue: "asyncio.Queue[WorkItem | None]"
    crew: asyncio.TaskGroup


def _left_in(queue: "asyncio.Queue[WorkItem | None]") -> Iterator[WorkItem]:
    while not queue.empty():
        work = queue.get_nowait()
        if work is not None:
            yield work


def _is_sent_again(work: WorkItem) -> bool:
    """Whether its price counts as spent since an earlier run: the same key is charged once."""
    prior = work.prior
    unknown = prior is not None and prior.status is Status.UNKNOWN
    return unknown and prior is not None and prior.generation == work.generation


def _was_sent_again(work: WorkItem, outcome: Outcome) -> bool:
    """Whether its request went out although something may have come of it before."""
    went_out = outcome.attempts > sent_before(work)
    return went_out and _is_sent_again(work) and not _is_submitted(work)


def _is_submitted(work: WorkItem) -> bool:
    """Whether an earlier run has sent it and the provider gave an id to ask under."""
    prior = work.prior
    if prior is None or prior.generation != work.generation or prior.remote_id is None:
        return False
    return prior.status in (Status.SUBMITTED, Status.UNKNOWN)


def _is_untouched(work: WorkItem, outcome: Outcome) -> bool:
    """The run stopped before this task's turn came: the ledger's row of it still stands."""
    open_ended = outcome.status in (Status.PENDING, Status.UNKNOWN)
    return open_ended and outcome.error is None and outcome.attempts == sent_before(work)


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first


def _priced(outcome: Outcome, price_usd: float | None) -> Outcome:
    """The catalogue's price where the provider told none."""
    if outcome.status is not Status.SUCCEEDED or outcome.cost_usd is not None:
        return outcome
    return replace(outcome, cost_usd=price_usd)
