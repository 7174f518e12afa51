"""One run: everything that carries tasks is put together here."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TypeAlias, TypeGuard

from msgspec.structs import replace

from batchgen.engine.admission import Admission
from batchgen.engine.closing import Closing
from batchgen.engine.limits import (
    LiveLimits,
    make_budget,
    make_throttle,
    open_shared_budget,
    unknown_spend_of,
)
from batchgen.engine.perform import Performer
from batchgen.engine.process import affordable
from batchgen.engine.request import RunRequest
from batchgen.engine.runner import Runner
from batchgen.engine.signals import Signals
from batchgen.engine.stop import Stop, StopReason, Streak
from batchgen.engine.worklist.dependencies import Dependencies
from batchgen.engine.worklist.dependent import DependentWorklist
from batchgen.engine.worklist.positions import Positions
from batchgen.engine.worklist.selection import OnUnknown
from batchgen.engine.worklist.worklist import Worklist
from batchgen.http.service import Transport
from batchgen.job import SIMULATOR, Access, Job, Provider
from batchgen.manifest.plan import Plan
from batchgen.provider.account import preflight, service_of
from batchgen.provider.adapter import Adapter
from batchgen.provider.pricing import Prices
from batchgen.storage.artifacts import LocalStore
from batchgen.storage.counts import RunCounts
from batchgen.storage.label import MetadataWriter, unlabelled
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.identity import identity_of
from batchgen.storage.results import ResultsFile, put_in_order
from batchgen.storage.sidecars import Sidecars
from batchgen.storage.summary import Summary, write_summary
from batchgen.types import Outcome, Task

_AnyWorklist: TypeAlias = Worklist | DependentWorklist

_LANES = "BATCHGEN_LANES"  # set the number of processes in earlier versions


@asynccontextmanager
async def reached(provider: Provider, access: Access) -> AsyncIterator[tuple[Provider, Access]]:
    """Yield the provider as it is reached; start the simulator for that time if it is the one."""
    if provider.name != SIMULATOR:
        yield provider, access
        return
    from batchgen.simulator.server import Simulator  # noqa: PLC0415  # draws: heavy
    from batchgen.simulator.settings import SimulatorSettings  # noqa: PLC0415  # draws: heavy

    async with Simulator(SimulatorSettings()) as simulator:
        yield replace(provider, base_url=simulator.base_url), Access("simulator")


class AssembledRun:
    """One run with its parts, in an output directory that is locked; close it afterwards."""

    def __init__(
        self, terms: RunRequest, ledger: Ledger, plan: Plan, positions: Positions, stop: Stop
    ) -> None:
        """Open the store. Raises StorageError if that fails.

        plan: the checked manifest. positions: how many tasks it has. stop: ends the run early if
        it is set; requests in flight are finished.
        """
        self._terms = terms
        self._ledger = ledger
        self._plan = plan
        self._positions = positions
        self._stop = stop
        self._job = job = terms.manifest.job
        self._say = terms.progress.say
        self._started_s = terms.clock.monotonic()
        self._counts = RunCounts(now := terms.clock.now(), now)
        self._companions = _companions_of(job, self._say)
        self._signals = Signals(stop, terms.progress, patience_s=job.limits.drain_timeout_s)
        self._store = LocalStore(
            job.output_dir, is_taken=lambda path: ledger.owner(path) is not None
        )

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    async def go(self) -> Summary:
        """Do what is left of the job; return how the run ended. Raises BatchgenError."""
        worklist, results = self.begin()
        try:
            await self.work(worklist, results)
        finally:
            results.close()
        return self.finish(worklist, results)

    def begin(self) -> tuple[_AnyWorklist, ResultsFile]:
        """Note the run in the ledger; return what is left to do and the open results manifest."""
        self._store.prepare()
        self._counts.found_unknown = self._ledger.begin_run(
            pid=os.getpid(), total=self._positions.count, now=self._counts.started_at
        )
        self._report_beginning()
        return self._worklist(), ResultsFile(self._job.output_dir)

    async def work(self, worklist: _AnyWorklist, results: ResultsFile) -> None:
        """Do what is left, until all is done or the run stops; a second signal cuts it off."""
        work = self._work(worklist, results)
        await (self._signals.hear_during(work) if self._terms.handle_signals else work)

    def finish(self, worklist: _AnyWorklist, results: ResultsFile) -> Summary:
        """Put the results in order and write the summary. Raises the error that stopped the run."""
        if not self._stop.is_set():
            self._report_left(worklist)
            self._halt_if_tasks_are_missing(worklist)
        self._withdraw_late_signal()
        self._report_submitted()
        if self._stop.error is not None:
            raise self._stop.error
        if not self._stop.cut:
            self._put_in_order(worklist, results)
        summary = self._summary(worklist)
        self._record_end(summary)
        return summary

    # begin

    def _report_beginning(self) -> None:
        if os.environ.get(_LANES):
            self._say(f"{_LANES} has no effect: a run uses one process")
        if self._counts.found_unknown:
            self._say(
                f"{self._counts.found_unknown} tasks were sent by an earlier run, and their outcome"
                f" is unknown (--on-unknown {self._terms.selection.on_unknown})"
            )

    def _worklist(self) -> _AnyWorklist:
        """What is left to do; in an order of its own if tasks take files from one another."""
        terms, references = self._terms, self._plan.references
        skipped = terms.progress.tasks_skipped
        if not references:
            all_done = self._plan.total.tasks if self._positions.is_all_done() else 0
            return Worklist(terms.manifest, self._ledger, terms.selection, skipped, all_done)
        sources = Dependencies(references, self._ledger, self._job.output_dir)
        return DependentWorklist(terms.manifest, self._ledger, terms.selection, sources, skipped)

    # work

    async def _work(self, worklist: _AnyWorklist, results: ResultsFile) -> None:
        self._terms.progress.start(name=self._job.name, total=self._plan.total.tasks)
        if _all_done(worklist) and not self._counts.found_unknown:
            worklist.pass_all()
            return
        self._ledger.forget_results()
        async with self._connected() as (transport, in_flight):
            await self._settle_unknown(transport)
            await self._preflight(transport)
            workers = min(in_flight, max(1, self._plan.total.tasks))
            with self._controls(workers) as controls:
                await self._runner(transport, controls, results).run(
                    worklist, workers=workers, deadline_s=self._job.limits.deadline_s
                )

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[Transport, int]]:
        """Yield what sends requests, and how many may be in flight."""
        # aiohttp takes a quarter of a second to import: a run that sends nothing does without it
        from batchgen.http.transport import AiohttpTransport  # noqa: PLC0415  # see above

        async with reached(self._job.provider, self._terms.access) as (provider, access):
            in_flight = affordable(self._job.limits.concurrency, self._say)
            service = service_of(provider, access, self._job.limits)
            async with AiohttpTransport(
                service, connections=in_flight, open_sink=self._store.open_sink
            ) as transport:
                yield transport, in_flight

    async def _settle_unknown(self, transport: Transport) -> None:
        """Look up unknown tasks in the provider's usage log, if it keeps one."""
        if not self._counts.found_unknown:
            return
        if self._job.provider.client_id_header:
            from batchgen.engine.reconcile import settle  # noqa: PLC0415  # few runs ask

            settled, why_not = await settle(transport, self._ledger, self._terms.clock.now())
            self._counts.settled = settled
            if settled:
                self._say(f"the provider's usage log settled {settled} of them")
            if why_not:
                self._say(f"the provider's usage log tells no more of them: {why_not}")
        if self._terms.selection.on_unknown is OnUnknown.FAIL:
            self._ledger.give_up_unknown()

    async def _preflight(self, transport: Transport) -> None:
        if self._terms.preflight:
            for warning in await preflight(transport, self._plan.total.cost_usd):
                self._say(warning)

    @contextmanager
    def _controls(self, workers: int) -> Iterator[LiveLimits]:
        """Yield the throttle and the budget; SIGUSR1 changes their limits meanwhile."""
        terms, job = self._terms, self._job
        unknown_spend = unknown_spend_of(self._ledger.unknown_tasks(), Prices(job))
        with open_shared_budget(
            job, terms.clock, identity_of(self._ledger), unknown_spend
        ) as shared_budget:
            controls = LiveLimits(
                make_throttle(job, self._stop, terms.clock),
                make_budget(
                    job,
                    spent_usd=self._ledger.spent_usd(),
                    unknown_spend=unknown_spend,
                    shared_budget=shared_budget,
                ),
                terms.progress,
                terms.reload_job or (lambda: terms.manifest),
                workers,
            )
            terms.progress.explain_by(controls.holding)
            with controls.listening() if terms.handle_signals else nullcontext():
                yield controls

    def _runner(self, transport: Transport, controls: LiveLimits, results: ResultsFile) -> Runner:
        terms, limits, budget = self._terms, self._job.limits, controls.budget
        return Runner(
            self._performer(transport, controls), self._ledger, results, terms.progress,
            Prices(self._job), budget, self._stop, terms.clock, self._counts,
            Streak(limits.halt_after, refusals=limits.halt_refusals),
            asyncio.Semaphore(limits.pending), self._accompany,
        )  # fmt: skip

    def _performer(self, transport: Transport, controls: LiveLimits) -> Performer:
        job, stop, progress = self._job, self._stop, self._terms.progress
        return Performer(
            adapter=Adapter(job),
            transport=transport,
            store=self._store,
            ledger=self._ledger,
            admission=Admission(controls.throttle, controls.budget, stop, progress, self._counts),
            retry=job.retry,
            clock=self._terms.clock,
            identity=identity_of(self._ledger),
            sleep=stop.sleep,
            wait=stop.wait,
            random=random.random,
            label=MetadataWriter(self._store) if job.extras.embed_metadata else unlabelled,
        )

    async def _accompany(self, task: Task, outcome: Outcome) -> None:
        if self._companions is not None:
            await self._companions(task, outcome)
        await self._terms.hear(task, outcome)

    # finish

    def _report_left(self, worklist: _AnyWorklist) -> None:
        if isinstance(worklist, DependentWorklist) and worklist.left:
            self._say(
                f"{worklist.left:,} tasks are left pending: the rows that they take files from have"
                " not succeeded, and nothing says that they will not"
            )

    def _halt_if_tasks_are_missing(self, worklist: _AnyWorklist) -> None:
        """Halt if tasks that were checked never came: the manifest has changed since."""
        counts = self._counts
        seen = worklist.passed.total() + sum(counts.ended().values()) + counts.pending
        missing = self._plan.total.tasks - seen
        if missing > 0:
            message = f"the manifest was changed in mid-run: {missing:,} tasks are gone"
            self._stop.set(StopReason.MANIFEST, message)

    def _withdraw_late_signal(self) -> None:
        """Ignore a signal that came when all was done."""
        counts, stop = self._counts, self._stop
        if stop.reason is StopReason.SIGNAL and not (stop.cut or counts.left or counts.pending):
            stop.withdraw()

    def _report_submitted(self) -> None:
        if self._counts.submitted:
            self._say(
                f"the provider still works on {self._counts.submitted} tasks: run the same command"
                " again to fetch what they come to, nothing is sent again for them"
            )

    def _put_in_order(self, worklist: _AnyWorklist, results: ResultsFile) -> None:
        is_same = _all_done(worklist) and not self._positions.has_changed
        put_in_order(results, self._ledger, is_same=is_same)
        if self._companions is not None:
            self._companions.make_up(self._ledger.records())

    def _summary(self, worklist: _AnyWorklist) -> Summary:
        clock, counts = self._terms.clock, self._counts
        counts.finished_at = clock.now()
        counts.duration_s = clock.monotonic() - self._started_s
        closing = Closing(self._terms, self._ledger, self._plan, self._positions)
        return closing.summary(counts, self._stop, worklist.passed, self._signals)

    def _record_end(self, summary: Summary) -> None:
        """Note the end in the ledger, then in summary.json; remove temporary files."""
        self._ledger.end_run(
            reason=self._stop.reason or summary.ending,
            now=self._terms.clock.now(),
            settled=self._counts.settled,
            resent=self._counts.resent,
        )
        write_summary(summary.to_json(), self._job.output_dir)
        if self._stop.reason is None:
            self._store.sweep()
        self._terms.progress.finish(summary.to_json())


def _all_done(worklist: _AnyWorklist) -> TypeGuard[Worklist]:
    """Return whether an earlier run has left nothing to do."""
    return isinstance(worklist, Worklist) and worklist.all_done > 0


def _companions_of(job: Job, say: Callable[[str], None]) -> Sidecars | None:
    """What makes the files that go along with artifacts; None where the job wants none."""
    if not (job.extras.sidecar or job.extras.convert):
        return None
    return Sidecars(job.output_dir, job.extras, say)
