"""The concurrency of a run: one producer, a bounded queue and N workers.

The producer reads the tasks that are left; the workers carry each through `perform.py`. When a task
only waits for a remote job, its worker takes the next one; `remote_slots` limits how many tasks
wait like this. On a stop, the producer reads no more and the workers finish what they have begun.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Protocol

import msgspec
from msgspec.structs import replace

from batchgen.engine.circuit_breaker import CircuitBreaker
from batchgen.engine.clock import Clock
from batchgen.engine.outcomes import earlier_attempts, prior_of_generation
from batchgen.engine.perform import Performer
from batchgen.engine.request import OnTaskDone, do_nothing
from batchgen.engine.risk import Risk
from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.throttle import Budget, BudgetSpentError
from batchgen.errors import BatchgenError
from batchgen.progress import Progress
from batchgen.provider.pricing import Prices
from batchgen.storage.counts import RunCounts
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import ResultsFile
from batchgen.types import Outcome, Status, Task, WorkItem

_PENDING_PER_COMMIT = 500
_MAX_PENDING_ROWS = 100_000  # tasks that a stopped run adds to the ledger as pending
_MAX_WAITING = 2000  # tasks that wait for a file without a worker
_TICK_S = 1.0


class WorkSource(Protocol):
    """Supplies the tasks that are left."""

    def items(self) -> Iterator[WorkItem | None]:
        """Yield the tasks that are left; yield None when the caller should `yield_control`."""

    def mark_done(self, work: WorkItem, outcome: Outcome | None) -> None:
        """Record that a task has ended, after its commit; None if this run did not start it."""

    async def yield_control(self) -> None:
        """Let other asyncio tasks run, until there may be more items."""


class Runner(msgspec.Struct, frozen=True):
    """Carries out all tasks that are left.

    remote_slots: one for each task that may wait for a remote job.
    models: how many models the job has.
    after_task: called with each task that has ended, after its commit to the ledger.
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
    breaker: CircuitBreaker
    remote_slots: asyncio.Semaphore
    models: int = 1
    after_task: OnTaskDone = do_nothing

    async def run(self, worklist: WorkSource, *, workers: int, deadline_s: float | None) -> None:
        """Carry out the tasks of a worklist, until none is left or the run has stopped.

        Requests in flight have ended when this returns. Errors that a person has to fix stop the
        run; other exceptions are bugs and are raised.
        """
        try:
            await self._run(worklist, workers, deadline_s)
        except BaseExceptionGroup as group:
            raise _first_of(group) from group

    async def _run(self, worklist: WorkSource, workers: int, deadline_s: float | None) -> None:
        queue: asyncio.Queue[WorkItem | None] = asyncio.Queue(maxsize=2 * workers)
        items = worklist.items()
        async with asyncio.TaskGroup() as group:
            timers = [group.create_task(self._tick())]
            if deadline_s is not None:
                timers.append(group.create_task(self._stop_at_deadline(deadline_s)))
            async with asyncio.TaskGroup() as tasks:
                pool = _Pool(worklist, queue, tasks)
                for _ in range(workers):
                    tasks.create_task(self._work(pool))
                tasks.create_task(self._produce(items, pool, workers))
            self.stop.halt_if_closed()
            if self.stop.is_set() and self.stop.error is None:
                with self._stopping_on_error():
                    async with asyncio.TaskGroup() as tasks:
                        pool = _Pool(worklist, queue, tasks)
                        await self._record_pending(chain(_drain(queue), items), pool)
            for timer in timers:
                timer.cancel()

    async def _produce(self, items: Iterator[WorkItem | None], pool: "_Pool", workers: int) -> None:
        with self._stopping_on_error():
            for work in items:
                if work is None:
                    await pool.worklist.yield_control()
                else:
                    await pool.queue.put(work)
                if self.stop.is_set():
                    break
        for _ in range(workers):
            await pool.queue.put(None)

    async def _work(self, pool: "_Pool") -> None:
        while (work := await pool.queue.get()) is not None:
            if work.ended is None and self.performer.is_remote(work.task):
                await self._start_remote(work, pool)
            elif await self._process_in_place(work, pool):
                return  # another worker has taken this one's place

    async def _process_in_place(self, work: WorkItem, pool: "_Pool") -> bool:
        """Process a task; return whether another worker has taken over meanwhile.

        That is so if the task had to wait for a file; only so many tasks wait at a time.
        """
        is_replaced = False

        def release_worker() -> None:
            nonlocal is_replaced
            if not is_replaced and pool.waiting < _MAX_WAITING:
                is_replaced = True
                pool.waiting += 1
                pool.tasks.create_task(self._work(pool))

        try:
            await self._process(work, pool, release_worker)
        finally:
            pool.waiting -= is_replaced
        return is_replaced

    async def _start_remote(self, work: WorkItem, pool: "_Pool") -> None:
        """Process a task apart from the workers; return when it only waits for the provider."""
        await self.remote_slots.acquire()
        is_waiting = asyncio.Event()

        async def process() -> None:
            try:
                await self._process(work, pool, is_waiting.set)
            finally:
                self.remote_slots.release()
                is_waiting.set()

        pool.tasks.create_task(process())
        await is_waiting.wait()

    async def _process(
        self, work: WorkItem, pool: "_Pool", release_worker: Callable[[], None] = lambda: None
    ) -> None:
        """Perform a task, or leave it to the next run; then mark it done."""
        outcome = None
        try:
            with self._stopping_on_error():
                if self._is_left(work):
                    await self._leave(work)
                elif work.ended is not None:
                    await self._record_unsent(work, work.ended)
                    outcome = work.ended
                else:
                    outcome = await self._perform(work, release_worker)
        finally:
            pool.worklist.mark_done(work, outcome)

    def _is_left(self, work: WorkItem) -> bool:
        """Return whether a task is left to the next run; what is paid for is still waited for."""
        if self.stop.abandons_remote():
            return True
        is_stopping = self.stop.is_set() or self.stop.is_closed(work.task.model)
        return is_stopping and not _is_submitted(work)

    async def _record_unsent(self, work: WorkItem, outcome: Outcome) -> None:
        """Record a task that ends without a request, or that has to wait for a later run."""
        self.progress.task_started(work.task)
        if outcome.status is Status.PENDING:
            await self._leave(work)
        else:
            now = self.clock.now()
            outcome = replace(outcome, started_at=now, finished_at=now)
            await self.ledger.record_unsent(work.task, work.generation, outcome, now=now)
            self.results.append(work.task, outcome)
        self._count(work, outcome)
        await self.after_task(work.task, outcome)

    @contextmanager
    def _stopping_on_error(self) -> Iterator[None]:
        """Stop the run on an error that a person has to fix; other workers finish their tasks."""
        try:
            yield
        except BatchgenError as error:
            self.stop.fail(error)

    async def _perform(self, work: WorkItem, release_worker: Callable[[], None]) -> Outcome | None:
        """Reserve the price of a task, perform it, and commit its outcome.

        Return None if the budget does not allow it.
        """
        risk = Risk.of(work, self.prices.of(work.task), self.budget)
        try:
            await risk.begin()
        except BudgetSpentError as error:
            self.stop.set(StopReason.BUDGET, str(error), kind=error.limit)
            await self._leave(work)
            return None
        self.progress.task_started(work.task)
        try:
            outcome = await self.performer.perform(work, release_worker, risk)
            if outcome.status is Status.SUBMITTED or _is_unchanged(work, outcome):
                await self._leave(work)
            else:
                await self.ledger.record_outcome(work.task, work.generation, outcome)
                self.performer.store.confirm(artifact.path for artifact in outcome.artifacts)
                self.results.append(work.task, outcome)
        finally:
            self.counts.resent += risk.resent
            self.counts.possibly_charged_usd += risk.added_usd
            await risk.end()
        self._count(work, outcome)
        await self.after_task(work.task, outcome)
        return outcome

    def _count(self, work: WorkItem, outcome: Outcome) -> None:
        self.counts.add(outcome)
        self.progress.task_finished(work.task, outcome)
        trip = self.breaker.add(outcome, work.task.model)
        if trip is None:
            return
        if trip.of_model and self.models > 1:
            self.stop.close_model(work.task.model, trip.reason, kind=trip.kind)
        else:
            self.stop.set(StopReason.HALT, trip.reason, kind=trip.kind)

    async def _leave(self, work: WorkItem) -> None:
        """Leave a task to the next run; its row in the ledger stays unchanged if it has one."""
        self.counts.not_started += 1
        if work.prior is None:
            await self.ledger.record_pending([work.task])

    async def _record_pending(self, items: Iterable[WorkItem | None], pool: "_Pool") -> None:
        """Record tasks that were not started as pending, so that the results list them.

        Remote jobs are paid for: if only the budget is spent, they are still waited for.
        """
        recorded = 0
        chunk: list[Task] = []
        for work in items:
            if work is None:
                await pool.worklist.yield_control()
                continue
            if _is_submitted(work) and not self.stop.abandons_remote():
                await self._start_remote(work, pool)
                continue
            self.counts.not_started += 1
            pool.worklist.mark_done(work, None)
            if work.prior is None:
                chunk.append(work.task)
            if len(chunk) >= _PENDING_PER_COMMIT:
                await self.ledger.record_pending(chunk)
                recorded += len(chunk)
                chunk.clear()
            if recorded >= _MAX_PENDING_ROWS:
                return
        if chunk:
            await self.ledger.record_pending(chunk)

    async def _stop_at_deadline(self, seconds: float) -> None:
        await self.clock.sleep(seconds)
        self.stop.set(StopReason.DEADLINE, "the deadline has passed")

    async def _tick(self) -> None:
        while True:
            await self.clock.sleep(_TICK_S)
            with self._stopping_on_error():
                self.results.flush()
            self.progress.tick()


class _Pool(msgspec.Struct):
    """The worklist, the queue to the workers, and the TaskGroup that the workers belong to.

    waiting: tasks that wait for a file, and whose workers others have replaced.
    """

    worklist: WorkSource
    queue: "asyncio.Queue[WorkItem | None]"
    tasks: asyncio.TaskGroup
    waiting: int = 0


def _drain(queue: "asyncio.Queue[WorkItem | None]") -> Iterator[WorkItem]:
    while not queue.empty():
        work = queue.get_nowait()
        if work is not None:
            yield work


def _is_submitted(work: WorkItem) -> bool:
    """Return whether an earlier run has started a remote job for it and knows the job's id."""
    prior = prior_of_generation(work)
    if prior is None or prior.remote_id is None:
        return False
    return prior.status in (Status.SUBMITTED, Status.UNKNOWN)


def _is_unchanged(work: WorkItem, outcome: Outcome) -> bool:
    """Return whether the run stopped before the task's first request: keep the ledger's row."""
    is_open = outcome.status in (Status.PENDING, Status.UNKNOWN)
    return is_open and outcome.error is None and outcome.attempts == earlier_attempts(work)


def _first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    first = group.exceptions[0]
    return _first_of(first) if isinstance(first, BaseExceptionGroup) else first
