"""A run under way: everything that carries tasks is put together here."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from batchgen.account import preflight, service_of
from batchgen.closing import Closing, put_in_order, write_summary
from batchgen.companions import Companions
from batchgen.controls import Controls, doubt_of, make_budget, make_throttle, open_purse
from batchgen.descriptors import affordable
from batchgen.dialect import Dialect
from batchgen.feeding import Feeding
from batchgen.hands import Transport
from batchgen.job import SIMULATOR, Access, Job, Provider
from batchgen.labels import Labeller, unlabelled
from batchgen.ledger import Ledger
from batchgen.ledger.identity import identity_of
from batchgen.perform import Performer
from batchgen.permits import Permits, RunTally
from batchgen.plan import Plan
from batchgen.prices import Prices
from batchgen.results import ResultsFile
from batchgen.runner import Runner
from batchgen.service import Service
from batchgen.signals import Signals
from batchgen.sources import Sources
from batchgen.stopping import Stop, StopReason, Streak
from batchgen.store import LocalStore
from batchgen.summary import RunCounts, Spend, Summary
from batchgen.terms import Terms
from batchgen.throttle import Doubt
from batchgen.throttle.purse import Purse
from batchgen.types import Outcome, Task
from batchgen.worklist import OnUnknown, Positions, Worklist

if TYPE_CHECKING:
    from batchgen.transport import AiohttpTransport

_LANES = "BATCHGEN_LANES"  # set the number of processes in earlier versions


def companions_of(job: Job, say: Callable[[str], None]) -> Companions | None:
    """What makes the files that go along with artifacts; None where the job wants none."""
    if not (job.extras.sidecar or job.extras.convert):
        return None
    return Companions(job.output_dir, job.extras, say)


@asynccontextmanager
async def reached(provider: Provider, access: Access) -> AsyncIterator[tuple[Provider, Access]]:
    """The provider as it is reached; the simulator is started for the time of the run."""
    if provider.name != SIMULATOR:
        yield provider, access
        return
    from batchgen.simulator import Simulator, SimulatorSettings  # noqa: PLC0415  # draws: heavy

    async with Simulator(SimulatorSettings()) as simulator:
        yield replace(provider, base_url=simulator.base_url), Access("simulator")


class Underway(msgspec.Struct):
    """A run under way, in a directory that is held."""

    terms: Terms
    ledger: Ledger
    store: LocalStore
    plan: Plan
    positions: Positions
    companions: Companions | None

    async def go(self, stop: Stop) -> Summary:
        """Carry out what is left; return how it ended."""
        clock = self.terms.clock
        tally = RunTally()
        started_at, started = clock.now(), clock.monotonic()
        selection = self.terms.selection
        tally.found_unknown = self.ledger.begin_run(
            pid=os.getpid(), total=self.positions.count, now=started_at
        )
        if os.environ.get(_LANES):
            self.terms.progress.say(f"{_LANES} has no effect: a run uses one process")
        if tally.found_unknown:
            self.terms.progress.say(
                f"{tally.found_unknown} tasks were sent by an earlier run, and their outcome is"
                f" unknown (--on-unknown {selection.on_unknown})"
            )
        worklist = self._worklist()
        job = self.terms.manifest.job
        results = ResultsFile(job.output_dir)
        signals = Signals(stop, self.terms.progress, patience_s=job.limits.drain_timeout_s)
        try:
            work = self._work(worklist, results, stop, tally)
            await (signals.hear_during(work) if self.terms.heed_signals else work)
        finally:
            results.close()
        if not stop.is_set():
            self._tell_left(worklist)
        self._miss(stop, worklist, tally)
        if stop.reason is StopReason.SIGNAL and not (stop.cut or tally.left or tally.pending):
            stop.withdraw()  # it came when all was done
        if tally.submitted:
            self.terms.progress.say(
                f"the provider still works on {tally.submitted} tasks: run the same command again"
                " to fetch what they come to, nothing is sent again for them"
            )
        if stop.error is None and not stop.cut:
            all_done = isinstance(worklist, Worklist) and worklist.all_done > 0
            is_same = all_done and not self.positions.has_changed
            put_in_order(results, self.ledger, is_same=is_same)
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
        closing = Closing(self.terms, self.ledger, self.plan, self.positions)
        summary = closing.summary(run, stop, tally, worklist.passed, signals)
        if stop.error is not None:
            raise stop.error
        self.ledger.end_run(
            reason=stop.reason or summary.ending,
            now=clock.now(),
            settled=tally.settled,
            resent=tally.resent,
        )
        write_summary(summary.to_json(), self.terms.manifest.job.output_dir)
        if stop.reason is None:
            self.store.sweep()
        self.terms.progress.finish(summary.to_json())
        return summary

    def _worklist(self) -> "Worklist | Feeding":
        """What is left to do; in an order of its own where tasks take files from one another."""
        terms, references = self.terms, self.plan.references
        told = terms.progress.tasks_skipped
        if not references:
            all_done = self.plan.whole.tasks if self.positions.is_all_done() else 0
            return Worklist(terms.manifest, self.ledger, terms.selection, told, all_done)
        sources = Sources(references, self.ledger, terms.manifest.job.output_dir)
        return Feeding(terms.manifest, self.ledger, terms.selection, sources, told)

    def _tell_left(self, worklist: "Worklist | Feeding") -> None:
        if isinstance(worklist, Feeding) and worklist.left:
            self.terms.progress.say(
                f"{worklist.left:,} tasks are left pending: the rows that they take files from have"
                " not succeeded, and nothing says that they will not"
            )

    async def _work(
        self, worklist: "Worklist | Feeding", results: ResultsFile, stop: Stop, tally: RunTally
    ) -> None:
        job = self.terms.manifest.job
        progress = self.terms.progress
        progress.start(name=job.name, total=self.plan.whole.tasks)
        if isinstance(worklist, Worklist) and worklist.all_done and not tally.found_unknown:
            worklist.pass_all()
            return
        self.ledger.forget_results()
        async with reached(job.provider, self.terms.access) as (provider, access):
            in_flight = affordable(job.limits.concurrency, progress.say)
            service = service_of(provider, access, job.limits)
            async with self._transport(service, in_flight) as transport:
                if tally.found_unknown:
                    await self._settle(transport, provider, tally)
                if self.terms.preflight:
                    for warning in await preflight(transport, self.plan.whole.cost_usd):
                        progress.say(warning)
                workers = min(in_flight, max(1, self.plan.whole.tasks))
                doubt = doubt_of(self.ledger.doubtful(), Prices(job))
                identity = identity_of(self.ledger)
                with open_purse(job, self.terms.clock, identity, doubt) as purse:
                    controls = self._controls(stop, purse, doubt, workers)
                    progress.explain_by(controls.holding)
                    runner = self._runner(transport, results, controls, stop, tally)
                    listening = controls.listening if self.terms.heed_signals else nullcontext
                    with listening():
                        await runner.run(
                            worklist, workers=workers, deadline_s=job.limits.deadline_s
                        )

    def _transport(self, service: Service, connections: int) -> "AiohttpTransport":
        # aiohttp takes a quarter of a second to import: a run that sends nothing does without it
        from batchgen.transport import AiohttpTransport  # noqa: PLC0415  # see above

        return AiohttpTransport(service, connections=connections, open_sink=self.store.open_sink)

    async def _settle(self, transport: Transport, provider: Provider, tally: RunTally) -> None:
        """Learn from the provider what became of unknown tasks, where it keeps a log of them."""
        from batchgen.settle import settle  # noqa: PLC0415  # few runs ask

        if provider.client_id_header:
            now, say = self.terms.clock.now(), self.terms.progress.say
            tally.settled, why_not = await settle(transport, self.ledger, now)
            if tally.settled:
                say(f"the provider's usage log settled {tally.settled} of them")
            if why_not:
                say(f"the provider's usage log tells no more of them: {why_not}")
        if self.terms.selection.on_unknown is OnUnknown.FAIL:
            self.ledger.give_up_unknown()

    def _controls(self, stop: Stop, purse: Purse | None, doubt: Doubt, workers: int) -> Controls:
        terms, job = self.terms, self.terms.manifest.job
        return Controls(
            make_throttle(job, stop, terms.clock),
            make_budget(job, spent_usd=self.ledger.spent_usd(), doubt=doubt, purse=purse),
            terms.progress,
            terms.reread or (lambda: terms.manifest),
            workers,
        )

    def _runner(
        self,
        transport: Transport,
        results: ResultsFile,
        controls: Controls,
        stop: Stop,
        tally: RunTally,
    ) -> Runner:
        job, clock, progress = self.terms.manifest.job, self.terms.clock, self.terms.progress
        limits, budget = job.limits, controls.budget
        performer = Performer(
            dialect=Dialect(job),
            transport=transport,
            store=self.store,
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
        await self.terms.hear(task, outcome)

    def _miss(self, stop: Stop, worklist: "Worklist | Feeding", tally: RunTally) -> None:
        """Halt where tasks that were checked never came: the manifest is another one now."""
        seen = worklist.passed.total() + sum(tally.ended().values()) + tally.pending
        if seen < self.plan.whole.tasks and not stop.is_set():
            gone = f"{self.plan.whole.tasks - seen:,} tasks are gone"
            stop.set(StopReason.MANIFEST, f"the manifest was changed in mid-run: {gone}")
