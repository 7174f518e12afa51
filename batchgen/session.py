"""One `run` from the checked manifest to its exit code: everything is put together here."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeAlias

import msgspec

from batchgen.account import preflight, service_of
from batchgen.clock import Clock, SystemClock
from batchgen.companions import Companions, alone
from batchgen.controls import (
    Controls,
    Reread,
    doubt_of,
    make_budget,
    make_throttle,
    open_purse,
)
from batchgen.descriptors import affordable
from batchgen.dialect import Dialect
from batchgen.directory import ledger_path, locked
from batchgen.edge import Edge, Hands, reached
from batchgen.ending import advice_of, ending_of
from batchgen.errors import UsageError
from batchgen.feeding import Feeding
from batchgen.garbage import seldom_collected
from batchgen.job import SIMULATOR, Access, Provider
from batchgen.labels import Labeller, unlabelled
from batchgen.ledger import RESULTS, Ledger
from batchgen.ledger.identity import identity_of
from batchgen.origin import other_manifest, remember_manifest
from batchgen.perform import Performer, Transport
from batchgen.permits import Permits, RunTally
from batchgen.plan import Manifest, Plan, check
from batchgen.prices import Prices
from batchgen.progress import Progress
from batchgen.results import ResultsFile, paid_for, shown_status, stored_line
from batchgen.runner import Runner
from batchgen.signals import Signals
from batchgen.sources import Sources
from batchgen.stopping import Stop, StopReason, Streak
from batchgen.store import LocalStore, write_atomically
from batchgen.summary import FailureGroups, JobCounts, RunCounts, Spend, Summary
from batchgen.throttle import Doubt
from batchgen.throttle.purse import Purse
from batchgen.types import Outcome, Problem, Severity, Status, Task
from batchgen.worklist import (
    ANY_KIND,
    OnUnknown,
    Positions,
    Selection,
    Worklist,
    failed_kinds,
)

SUMMARY_NAME = "summary.json"
_Items: TypeAlias = Iterator[Task | Problem]


@dataclass(frozen=True, slots=True)
class Session:
    """A run about to begin.

    access: the provider's key and what else is secret. command: the words that run the job again.
    reread: reads the job file anew, for its limits. preflight: ask for key and balance first.
    hear: is told of each task that has ended, once it is in the ledger, and may have the run wait.
    heed_signals: whether SIGINT, SIGTERM, SIGHUP and SIGUSR1 are this run's.
    """

    manifest: Manifest
    selection: Selection
    progress: Progress
    command: tuple[str, ...]
    access: Access = field(default_factory=Access)
    reread: Reread | None = None
    preflight: bool = False
    hear: Callable[[Task, Outcome], Awaitable[None]] = alone
    heed_signals: bool = True
    clock: Clock = field(default_factory=SystemClock)

    def run(self) -> Summary:
        """Check the manifest, do what is left of it, and write the results down.

        Raises BatchgenError for what a person has to mend first.
        """
        with self._opened() as run:
            return asyncio.run(run.go(Stop(self.clock)))

    async def go(self, stop: Stop) -> Summary:
        """The same within an event loop, which stands still while the manifest is checked.

        stop: ends the run early when it is set; what is under way is finished and kept.
        """
        with self._opened() as run:
            return await run.go(stop)

    @contextmanager
    def _opened(self) -> "Iterator[_Run]":
        directory = self.manifest.job.output_dir
        counts = self.selection.is_in_shard if self.selection.shard else None
        positions = Positions(counts=counts)
        path = ledger_path(directory)
        edge = Edge(self.manifest.job)
        with ExitStack() as stack:
            stack.callback(edge.close)
            is_new = not path.exists()
            # Before anything is made on disk.
            plan = self._check(positions, edge.foresee) if is_new else None
            stack.enter_context(locked(directory, self.progress.say))
            ledger = stack.enter_context(Ledger(path))
            _check_provider(ledger, self.manifest.job.provider)
            self._check_kind(ledger)
            if (other := other_manifest(ledger, self.manifest)) is not None:
                self.progress.say(str(other))
            if plan is None:
                positions = Positions(ledger, counts)
                plan = self._check(positions, iter)
            remember_manifest(ledger, self.manifest.source)
            if not positions.is_all_done():
                edge.prepare(plan.tasks)
            store = LocalStore(directory, is_taken=lambda path: ledger.owner(path) is not None)
            stack.callback(store.close)
            store.prepare()
            stack.enter_context(seldom_collected())
            yield _Run(self, ledger, store, plan, positions, self._companions(), edge)

    def _companions(self) -> Companions | None:
        """What makes the files that go along with artifacts; None where the job wants none."""
        job = self.manifest.job
        if not (job.extras.sidecar or job.extras.convert):
            return None
        return Companions(job.output_dir, job.extras, self.progress.say)

    def _check_kind(self, ledger: Ledger) -> None:
        """Tell of a --retry-failed that finds nothing; from cron that is a good day."""
        wanted = self.selection.retry_failed
        if wanted in (None, ANY_KIND):
            return
        kinds = failed_kinds(ledger)
        if wanted not in kinds:
            told = f"those that did: {', '.join(sorted(kinds))}" if kinds else "none has failed"
            self.progress.say(f"--retry-failed {wanted}: no task has failed for that; {told}")

    def _check(self, positions: Positions, foresee: Callable[[_Items], _Items]) -> Plan:
        def select(items: _Items) -> _Items:
            return foresee(self.selection.narrow(positions.watch(items), to_the_end=True))

        plan = check(self.manifest, select=select)
        for line in plan.lines(Severity.WARNING):
            self.progress.say(line)
        plan.raise_errors()
        positions.close()
        return plan


@dataclass(slots=True)
class _Run:
    """A run under way."""

    session: Session
    ledger: Ledger
    store: LocalStore
    plan: Plan
    positions: Positions
    companions: Companions | None
    edge: Edge

    async def go(self, stop: Stop) -> Summary:
        """Carry out what is left; return how it ended."""
        clock = self.session.clock
        tally = RunTally()
        started_at, started = clock.now(), clock.monotonic()
        selection = self.session.selection
        tally.found_unknown = self.ledger.begin_run(
            pid=os.getpid(), total=self.positions.count, now=started_at
        )
        if tally.found_unknown:
            self.session.progress.say(
                f"{tally.found_unknown} tasks were sent by an earlier run, and their outcome is"
                f" unknown (--on-unknown {selection.on_unknown})"
            )
        worklist = self._worklist()
        job = self.session.manifest.job
        results = ResultsFile(job.output_dir)
        signals = Signals(stop, self.session.progress, patience_s=job.limits.drain_timeout_s)
        try:
            work = self._work(worklist, results, stop, tally)
            await (signals.hear_during(work) if self.session.heed_signals else work)
        finally:
            results.close()
        if not stop.is_set():
            self._tell_left(worklist)
        self._miss(stop, worklist, tally)
        if stop.reason is StopReason.SIGNAL and not (stop.cut or tally.left or tally.pending):
            stop.withdraw()  # it came when all was done
        if tally.submitted:
            self.session.progress.say(
                f"the provider still works on {tally.submitted} tasks: run the same command again"
                " to fetch what they come to, nothing is sent again for them"
            )
        if stop.error is None and not stop.cut:
            self._put_in_order(results, worklist)
            if self.companions is not None:
                self.companions.make_up(self.ledger.records())
        run = RunCounts(
            started_at=started_at,
            finished_at=clock.now(),
            duration_s=clock.monotonic() - started,
            succeeded=tally.succeeded,
            failed=tally.failed,
            refused=tally.refused,
            unknown=tally.unknown,
            skipped=tally.skipped,
            found_unknown=tally.found_unknown,
            settled=tally.settled,
            resent=tally.resent,
            requests=tally.requests,
            spend=Spend(tally.cost_usd, tally.unpriced),
        )
        summary = self._summary(run, stop, signals, worklist, tally)
        if stop.error is not None:
            raise stop.error
        self.ledger.end_run(
            reason=stop.reason or summary.ending,
            now=clock.now(),
            settled=tally.settled,
            resent=tally.resent,
        )
        write_atomically(
            self.session.manifest.job.output_dir / SUMMARY_NAME,
            msgspec.json.format(msgspec.json.encode(summary.to_json()), indent=2) + b"\n",
        )
        if stop.reason is None:
            self.store.sweep()
        self.session.progress.finish(summary.to_json())
        return summary

    def _put_in_order(self, results: ResultsFile, worklist: "Worklist | Feeding") -> None:
        """Write the results manifest, unless it is the one that the last run has left."""
        all_done = isinstance(worklist, Worklist) and worklist.all_done
        is_same = all_done and not self.positions.has_changed
        if is_same and self.ledger.meta(RESULTS) == results.mark():
            return
        results.rewrite(map(stored_line, self.ledger.stored()))
        self.ledger.set_meta(RESULTS, results.mark())

    def _worklist(self) -> "Worklist | Feeding":
        """What is left to do; in an order of its own where tasks take files from one another."""
        session, references = self.session, self.plan.references
        told = session.progress.tasks_skipped
        if not references:
            all_done = self.plan.tasks if self.positions.is_all_done() else 0
            return Worklist(session.manifest, self.ledger, session.selection, told, all_done)
        sources = Sources(references, self.ledger, session.manifest.job.output_dir)
        return Feeding(session.manifest, self.ledger, session.selection, sources, told)

    def _tell_left(self, worklist: "Worklist | Feeding") -> None:
        if isinstance(worklist, Feeding) and worklist.left:
            self.session.progress.say(
                f"{worklist.left:,} tasks are left pending: the rows that they take files from have"
                " not succeeded, and nothing says that they will not"
            )

    async def _work(
        self, worklist: "Worklist | Feeding", results: ResultsFile, stop: Stop, tally: RunTally
    ) -> None:
        job = self.session.manifest.job
        progress = self.session.progress
        progress.start(name=job.name, total=self.plan.tasks)
        if isinstance(worklist, Worklist) and worklist.all_done and not tally.found_unknown:
            worklist.pass_all()
            return
        self.ledger.forget_results()
        async with reached(job.provider, self.session.access) as (provider, access):
            in_flight = affordable(job.limits.concurrency, progress.say)
            service = service_of(provider, access, job.limits)
            async with self.edge.open(service, self.store, in_flight=in_flight) as hands:
                if tally.found_unknown:
                    await self._settle(hands.transport, provider, tally)
                if self.session.preflight:
                    for warning in await preflight(hands.transport, self.plan.cost_usd):
                        progress.say(warning)
                workers = min(in_flight, max(1, self.plan.tasks))
                doubt = doubt_of(self.ledger.doubtful(), Prices(job))
                identity = identity_of(self.ledger)
                with open_purse(job, self.session.clock, identity, doubt) as purse:
                    controls = self._controls(stop, purse, doubt, workers)
                    progress.explain_by(controls.holding)
                    runner = self._runner(hands, results, controls, stop, tally)
                    listening = controls.listening if self.session.heed_signals else nullcontext
                    with listening():
                        await runner.run(
                            worklist, workers=workers, deadline_s=job.limits.deadline_s
                        )

    async def _settle(self, transport: Transport, provider: Provider, tally: RunTally) -> None:
        """Learn from the provider what became of unknown tasks, where it keeps a log of them."""
        from batchgen.settle import settle  # noqa: PLC0415  # with the transport

        if provider.client_id_header:
            now, say = self.session.clock.now(), self.session.progress.say
            tally.settled, why_not = await settle(transport, self.ledger, now)
            if tally.settled:
                say(f"the provider's usage log settled {tally.settled} of them")
            if why_not:
                say(f"the provider's usage log tells no more of them: {why_not}")
        if self.session.selection.on_unknown is OnUnknown.FAIL:
            self.ledger.give_up_unknown()

    def _controls(self, stop: Stop, purse: Purse | None, doubt: Doubt, workers: int) -> Controls:
        session, job = self.session, self.session.manifest.job
        return Controls(
            make_throttle(job, stop, session.clock),
            make_budget(job, spent_usd=self.ledger.spent_usd(), doubt=doubt, purse=purse),
            session.progress,
            session.reread or (lambda: session.manifest),
            workers,
        )

    def _runner(
        self,
        hands: Hands,
        results: ResultsFile,
        controls: Controls,
        stop: Stop,
        tally: RunTally,
    ) -> Runner:
        job, clock, progress = self.session.manifest.job, self.session.clock, self.session.progress
        limits, budget = job.limits, controls.budget
        performer = Performer(
            dialect=Dialect(job),
            transport=hands.transport,
            store=hands.store,
            ledger=self.ledger,
            permits=Permits(controls.throttle, budget, stop, progress, tally),
            retry=job.retry,
            clock=clock,
            identity=identity_of(self.ledger),
            sleep=stop.sleep,
            wait=stop.wait,
            random=random.random,
            label=Labeller(self.store) if job.extras.embed_metadata else unlabelled,
        )
        return Runner(
            performer, self.ledger, results, progress, Prices(job), budget, stop, clock, tally,
            Streak(limits.halt_after, refusals=limits.halt_refusals),
            asyncio.Semaphore(limits.pending), self._accompany,
        )  # fmt: skip

    async def _accompany(self, task: Task, outcome: Outcome) -> None:
        if self.companions is not None:
            await self.companions(task, outcome)
        await self.session.hear(task, outcome)

    def _miss(self, stop: Stop, worklist: "Worklist | Feeding", tally: RunTally) -> None:
        """Halt where tasks that were checked never came: the manifest is another one now."""
        seen = worklist.passed.total() + sum(tally.ended().values()) + tally.pending
        if seen < self.plan.tasks and not stop.is_set():
            gone = f"{self.plan.tasks - seen:,} tasks are gone"
            stop.set(StopReason.MANIFEST, f"the manifest was changed in mid-run: {gone}")

    def _summary(
        self,
        run: RunCounts,
        stop: Stop,
        signals: Signals,
        worklist: "Worklist | Feeding",
        tally: RunTally,
    ) -> Summary:
        totals = self.ledger.totals()
        counts: Counter[str] = Counter()
        for status, count in totals.counts.items():
            counts[shown_status(status)] += count
        chosen = Counter[str](worklist.passed) + Counter(tally.ended())
        job = self.session.manifest.job
        failures = FailureGroups()
        if totals.counts.keys() - {Status.SUCCEEDED}:  # the search reads the whole ledger
            for record in self.ledger.unsuccessful():
                failures.add(record.task, record.outcome)
        good = chosen.keys() <= {"succeeded"} and not tally.pending
        ending, exit_code = ending_of(stop, good=good)
        if stop.reason is StopReason.SIGNAL:
            exit_code = signals.exit_code
        partial = self.session.selection.is_partial()
        return Summary(
            name=job.name,
            ending=ending,
            tasks=JobCounts.of(
                max(self.positions.count, counts.total()),
                counts,
                pending_paid=paid_for(totals.counts),
            ),
            run=run,
            command=self.session.command,
            output=str(job.output_dir),
            exit_code=exit_code,
            reason=stop.message or None,
            spend=Spend(self.ledger.spent_usd(), totals.unpriced),
            artifacts=totals.artifacts,
            size_bytes=totals.size_bytes,
            failures=failures.groups(),
            advice=advice_of(stop, job.provider),
            selected=JobCounts.of(self.plan.tasks, chosen) if partial else None,
            simulated=job.provider.name == SIMULATOR,
        )


def _check_provider(ledger: Ledger, provider: Provider) -> None:
    """Keep simulated pictures apart from paid ones: both would count as done."""
    kind = "simulated" if provider.name == SIMULATOR else "real"
    if ledger.meta("provider") != provider.name:
        ledger.set_meta("provider", provider.name)
    before = ledger.meta("provider_kind")
    if before is None:
        ledger.set_meta("provider_kind", kind)
    elif before != kind:
        raise UsageError(
            f"this output directory holds {before} results, and the provider is {provider.name}:"
            " choose another output directory with -o"
        )
