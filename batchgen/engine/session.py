"""One `run` from its manifest to its summary: checked, held, carried out, closed."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TypeAlias

from batchgen.engine.assemble import AssembledRun
from batchgen.engine.provenance import other_manifest, remember_manifest
from batchgen.engine.request import RunRequest
from batchgen.engine.stop import Stop
from batchgen.engine.worklist.positions import Positions
from batchgen.engine.worklist.selection import ANY_KIND, failed_kinds
from batchgen.errors import UsageError
from batchgen.job import SIMULATOR, Provider
from batchgen.manifest.plan import Plan, check
from batchgen.storage.directory import ledger_path, locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.summary import Summary
from batchgen.types import Problem, Severity, Task

_Items: TypeAlias = Iterator[Task | Problem]


class Session(RunRequest, frozen=True):
    """A run about to begin, in a directory of its own."""

    def run(self) -> Summary:
        """Check the manifest, do what is left of it, and write the results down.

        Raises BatchgenError for what a person has to mend first.
        """
        with self._assembled(Stop(self.clock)) as run:
            return asyncio.run(run.go())

    async def go(self, stop: Stop) -> Summary:
        """The same within an event loop, which stands still while the manifest is checked.

        stop: ends the run early when it is set; what is under way is finished and kept.
        """
        with self._assembled(stop) as run:
            return await run.go()

    @contextmanager
    def _assembled(self, stop: Stop) -> Iterator[AssembledRun]:
        directory = self.manifest.job.output_dir
        counts = self.selection.is_in_shard if self.selection.shard else None
        positions = Positions(counts=counts)
        path = ledger_path(directory)
        with ExitStack() as stack:
            is_new = not path.exists()
            # Before anything is made on disk.
            plan = self._check(positions) if is_new else None
            stack.enter_context(locked(directory, self.progress.log))
            ledger = stack.enter_context(Ledger(path))
            _check_provider(ledger, self.manifest.job.provider)
            self._check_kind(ledger)
            if (other := other_manifest(ledger, self.manifest)) is not None:
                self.progress.log(str(other))
            if plan is None:
                positions = Positions(ledger, counts)
                plan = self._check(positions)
            remember_manifest(ledger, self.manifest.source)
            run = AssembledRun(self, ledger, plan, positions, stop)
            yield stack.enter_context(closing(run))

    def _check_kind(self, ledger: Ledger) -> None:
        """Tell of a --retry-failed that finds nothing; from cron that is a good day."""
        wanted = self.selection.retry_failed
        if wanted in (None, ANY_KIND):
            return
        kinds = failed_kinds(ledger)
        if wanted not in kinds:
            told = f"those that did: {', '.join(sorted(kinds))}" if kinds else "none has failed"
            self.progress.log(f"--retry-failed {wanted}: no task has failed for that; {told}")

    def _check(self, positions: Positions) -> Plan:
        def select(items: _Items) -> _Items:
            return self.selection.narrow(positions.watch(items), to_the_end=True)

        plan = check(self.manifest, select=select)
        for line in plan.lines(Severity.WARNING):
            self.progress.log(line)
        plan.raise_errors()
        positions.close()
        return plan


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
