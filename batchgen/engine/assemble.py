"""One run with its parts: begin, work on the tasks that are left, finish with the summary."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
from typing import TypeAlias, TypeGuard

from msgspec.structs import replace

from batchgen.engine.admission import Admission
from batchgen.engine.circuit_breaker import CircuitBreaker
from batchgen.engine.ending import Summarizer
from batchgen.engine.kept_replies import KeptReplies
from batchgen.engine.limits import (
    LiveLimits,
    make_budget,
    make_throttle,
    open_shared_budget,
    unrecorded_spend,
)
from batchgen.engine.perform import Performer
from batchgen.engine.process import affordable_concurrency
from batchgen.engine.read_again import read_kept_replies
from batchgen.engine.request import RunRequest
from batchgen.engine.runner import Runner
from batchgen.engine.signals import Signals
from batchgen.engine.stop import Stop, StopReason
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
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.identity import identity_of
from batchgen.storage.metadata import MetadataWriter, leave_unchanged
from batchgen.storage.results import ResultsFile, write_in_manifest_order
from batchgen.storage.sidecars import Sidecars
from batchgen.storage.summary import Summary, write_summary
from batchgen.types import Outcome, Task

_AnyWorklist: TypeAlias = Worklist | DependentWorklist

_REMOVED_VARIABLE = "BATCHGEN_LANES"  # the number of processes in version 0.1


@asynccontextmanager
async def _running_provider(
    provider: Provider, access: Access
) -> AsyncIterator[tuple[Provider, Access]]:
    """Yield the provider and its key; if it is the simulator, run that until the block ends."""
    if provider.name != SIMULATOR:
        yield provider, access
        return
    from batchgen.simulator.server import Simulator  # noqa: PLC0415  # heavy
    from batchgen.simulator.settings import SimulatorSettings  # noqa: PLC0415  # heavy

    async with Simulator(SimulatorSettings()) as simulator:
        yield replace(provider, base_url=simulator.base_url), Access("simulator")


class AssembledRun:
    """One run with its parts, in a locked output directory. Close it afterwards."""

    def __init__(
        self, request: RunRequest, ledger: Ledger, plan: Plan, positions: Positions, stop: Stop
    ) -> None:
        """Open the store. Raises StorageError if that fails.

        plan: the checked manifest. positions: how many tasks it has.
        stop: ends the run early when it is set; requests in flight are finished.
        """
        self._request = request
        self._ledger = ledger
        self._plan = plan
        self._positions = positions
        self._stop = stop
        self._job = job = request.manifest.job
        self._log = request.progress.log
        self._started_s = request.clock.monotonic()
        self._counts = RunCounts(now := request.clock.now(), now)
        self._sidecars = _sidecars_of(job, self._log)
        self._signals = Signals(stop, request.progress, drain_timeout_s=job.limits.drain_timeout_s)
        self._store = LocalStore(
            job.output_dir, is_taken=lambda path: ledger.owner_of(path) is not None
        )
        self._replies = KeptReplies(job.output_dir, self._store.open_sink)

    def close(self) -> None:
        """Close the store."""
        self._store.close()

    async def run(self) -> Summary:
        """Run the tasks that are left; return the summary. Raises BatchgenError."""
        worklist, results = self.begin()
        try:
            await self.work(worklist, results)
        finally:
            results.close()
        return self.finish(worklist, results)

    def begin(self) -> tuple[_AnyWorklist, ResultsFile]:
        """Record the run in the ledger; return the worklist and the open results manifest."""
        self._store.prepare()
        self._counts.found_unknown = self._ledger.begin_run(
            pid=os.getpid(), total=self._positions.count, now=self._counts.started_at
        )
        self._report_removed_variable()
        self._report_unknown()
        results = ResultsFile(self._job.output_dir)
        self._store.sync_folders()
        return self._worklist(), results

    async def work(self, worklist: _AnyWorklist, results: ResultsFile) -> None:
        """Run the tasks that are left, until all are done or the run stops."""
        work = self._run_tasks(worklist, results)
        await (self._signals.run_with_handlers(work) if self._request.handle_signals else work)

    def finish(self, worklist: _AnyWorklist, results: ResultsFile) -> Summary:
        """Put the results in order and write the summary. Raises the error that stopped the run."""
        if not self._stop.is_set():
            self._report_pending(worklist)
            self._halt_if_tasks_disappeared(worklist)
        self._withdraw_late_signal()
        self._report_submitted()
        if self._stop.error is not None:
            raise self._stop.error
        if not self._stop.aborted:
            self._write_in_manifest_order(worklist, results)
        summary = self._summary(worklist)
        self._record_end(summary)
        return summary

    # begin

    def _report_removed_variable(self) -> None:
        if os.environ.get(_REMOVED_VARIABLE):
            self._log(f"{_REMOVED_VARIABLE} has no effect: a run uses one process")

    def _report_unknown(self) -> None:
        if self._counts.found_unknown:
            self._log(
                f"{self._counts.found_unknown} tasks were sent by an earlier run; their outcome is"
                f" unknown (--on-unknown {self._request.selection.on_unknown})"
            )

    def _worklist(self) -> _AnyWorklist:
        """Return the worklist, which yields tasks after their sources if any depend on others."""
        request, references = self._request, self._plan.references
        skipped = request.progress.tasks_skipped
        if not references:
            all_done = self._plan.total.tasks if self._positions.is_all_done() else 0
            return Worklist(request.manifest, self._ledger, request.selection, skipped, all_done)
        sources = Dependencies(references, self._ledger, self._job.output_dir)
        return DependentWorklist(
            request.manifest, self._ledger, request.selection, sources, skipped
        )

    # work

    async def _run_tasks(self, worklist: _AnyWorklist, results: ResultsFile) -> None:
        self._request.progress.start(name=self._job.name, total=self._plan.total.tasks)
        if _all_done(worklist) and not self._counts.found_unknown:
            worklist.count_all_done()
            return
        self._ledger.mark_results_stale()
        await self._read_kept_replies()
        async with self._open_transport() as (transport, in_flight):
            await self._reconcile_unknown(transport)
            await self._preflight(transport)
            workers = min(in_flight, max(1, self._plan.total.tasks))
            with self._live_limits(workers) as limits:
                await self._runner(transport, limits, results).run(
                    worklist, workers=workers, deadline_s=self._job.limits.deadline_s
                )

    async def _read_kept_replies(self) -> None:
        """Read again the paid replies that earlier runs could not use."""
        reading = await read_kept_replies(
            self._ledger,
            self._replies,
            adapter=Adapter(self._job),
            store=self._store,
            settings=self._job.retry,
            now=self._request.clock.now(),
        )
        self._counts.settled += reading.settled
        if reading.readable:
            self._log(
                f"{reading.readable:,} kept replies have a result now: it is stored, and nothing is"
                " sent again for it"
            )

    @asynccontextmanager
    async def _open_transport(self) -> AsyncIterator[tuple[Transport, int]]:
        """Yield the transport, and how many requests may be in flight."""
        # aiohttp takes 0.25 s to import, and a run that sends nothing does not need it.
        from batchgen.http.transport import AiohttpTransport  # noqa: PLC0415  # see above

        async with _running_provider(self._job.provider, self._request.access) as (
            provider,
            access,
        ):
            in_flight = affordable_concurrency(self._job.limits.concurrency, self._log)
            service = service_of(provider, access, self._job.limits)
            async with AiohttpTransport(
                service, connections=in_flight, open_sink=self._store.open_sink
            ) as transport:
                yield transport, in_flight

    async def _reconcile_unknown(self, transport: Transport) -> None:
        """Look up unknown tasks in the provider's usage log, if it keeps one."""
        if not self._counts.found_unknown:
            return
        if self._job.provider.client_id_header:
            from batchgen.engine.reconcile import reconcile  # noqa: PLC0415  # few runs need it

            count, failure = await reconcile(transport, self._ledger, self._request.clock.now())
            self._counts.settled += count
            if count:
                self._log(f"the provider's usage log lists {count} of them")
            if failure:
                self._log(f"the provider's usage log cannot be read: {failure}")
        if self._request.selection.on_unknown is OnUnknown.FAIL:
            self._ledger.fail_unknown()

    async def _preflight(self, transport: Transport) -> None:
        if self._request.preflight:
            for warning in await preflight(transport, self._plan.total.cost_usd):
                self._log(warning)

    @contextmanager
    def _live_limits(self, workers: int) -> Iterator[LiveLimits]:
        """Yield the throttle and the budget; SIGUSR1 reloads their limits until the block ends."""
        request, job = self._request, self._job
        spent = self._ledger.spent_usd()
        at_risk = self._ledger.at_risk_usd()
        at_risk += unrecorded_spend(self._ledger.possibly_charged(), Prices(job))
        with open_shared_budget(
            job, request.clock, identity_of(self._ledger), spent_usd=spent, at_risk_usd=at_risk
        ) as shared_budget:
            limits = LiveLimits(
                make_throttle(job, self._stop, request.clock, request.progress),
                make_budget(job, spent_usd=spent, at_risk_usd=at_risk, shared_budget=shared_budget),
                request.progress,
                request.reload_job or (lambda: request.manifest),
                workers,
            )
            request.progress.set_bottleneck(limits.bottleneck)
            with limits.reload_on_signal() if request.handle_signals else nullcontext():
                yield limits

    def _runner(self, transport: Transport, limits: LiveLimits, results: ResultsFile) -> Runner:
        request, job_limits = self._request, self._job.limits
        return Runner(
            self._performer(transport, limits), self._ledger, results, request.progress,
            Prices(self._job), limits.budget, self._stop, request.clock, self._counts,
            CircuitBreaker(job_limits.halt_after, max_refusals=job_limits.halt_refusals),
            asyncio.Semaphore(job_limits.pending), len(self._plan.models), self._after_task,
        )  # fmt: skip

    def _performer(self, transport: Transport, limits: LiveLimits) -> Performer:
        job, stop, progress = self._job, self._stop, self._request.progress
        return Performer(
            adapter=Adapter(job),
            transport=transport,
            store=self._store,
            ledger=self._ledger,
            replies=self._replies,
            admission=Admission(limits.throttle, limits.budget, stop, progress, self._counts),
            retry=job.retry,
            clock=self._request.clock,
            identity=identity_of(self._ledger),
            sleep=stop.sleep_until_stop,
            wait_for_remote=stop.wait_for_remote,
            random=random.random,
            fetch_deadline_s=job.limits.fetch_deadline_s,
            embed_metadata=MetadataWriter(self._store)
            if job.extras.embed_metadata
            else leave_unchanged,
            on_unknown=self._request.selection.on_unknown,
        )

    async def _after_task(self, task: Task, outcome: Outcome) -> None:
        if self._sidecars is not None:
            await self._sidecars(task, outcome)
        await self._request.on_task_done(task, outcome)

    # finish

    def _report_pending(self, worklist: _AnyWorklist) -> None:
        if isinstance(worklist, DependentWorklist) and worklist.left_pending:
            self._log(
                f"{worklist.left_pending:,} tasks stay pending: the rows they depend on have"
                " not finished"
            )

    def _halt_if_tasks_disappeared(self, worklist: _AnyWorklist) -> None:
        """Halt if the manifest no longer lists tasks that were checked."""
        counts = self._counts
        listed = worklist.untouched.total() + sum(counts.terminal().values()) + counts.pending
        missing = self._plan.total.tasks - listed
        if missing > 0:
            message = f"the manifest was changed during the run: {missing:,} tasks are gone"
            self._stop.set(StopReason.MANIFEST, message)

    def _withdraw_late_signal(self) -> None:
        """Ignore a signal that arrived after all tasks had ended."""
        counts, stop = self._counts, self._stop
        if stop.reason is StopReason.SIGNAL and not (
            stop.aborted or counts.not_started or counts.pending
        ):
            stop.withdraw()

    def _report_submitted(self) -> None:
        if self._counts.submitted:
            self._log(
                f"the provider still works on {self._counts.submitted} tasks: run the same command"
                " again to fetch their results; no request is sent again"
            )

    def _write_in_manifest_order(self, worklist: _AnyWorklist, results: ResultsFile) -> None:
        unchanged = _all_done(worklist) and not self._positions.has_changed
        write_in_manifest_order(results, self._ledger, unchanged=unchanged)
        if self._sidecars is not None:
            self._sidecars.write_missing(self._ledger.records())

    def _summary(self, worklist: _AnyWorklist) -> Summary:
        clock, counts = self._request.clock, self._counts
        counts.finished_at = clock.now()
        counts.duration_s = clock.monotonic() - self._started_s
        summarizer = Summarizer(self._request, self._ledger, self._plan, self._positions)
        return summarizer.summary(counts, self._stop, worklist.untouched, self._signals)

    def _record_end(self, summary: Summary) -> None:
        """Record the end in the ledger, then write summary.json and remove temporary files."""
        self._ledger.end_run(
            reason=self._stop.reason or summary.ending,
            now=self._request.clock.now(),
            settled=self._counts.settled,
            resent=self._counts.resent,
        )
        write_summary(summary.to_json(), self._job.output_dir)
        if self._stop.reason is None:
            self._store.sweep()
        self._request.progress.finish(summary.to_json())


def _all_done(worklist: _AnyWorklist) -> TypeGuard[Worklist]:
    """Return whether all tasks succeeded in earlier runs."""
    return isinstance(worklist, Worklist) and worklist.all_done > 0


def _sidecars_of(job: Job, log: Callable[[str], None]) -> Sidecars | None:
    """Return the writer of sidecars and converted copies; None if the job has neither."""
    if not (job.extras.sidecar or job.extras.convert):
        return None
    return Sidecars(job.output_dir, job.extras, log)
