"""One run from its manifest to its summary: check, lock, run, close."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TypeAlias

from batchgen.engine.assemble import AssembledRun
from batchgen.engine.provenance import other_manifest_warning, record_manifest
from batchgen.engine.request import RunRequest
from batchgen.engine.stop import Stop
from batchgen.engine.worklist.folders import watch_folders
from batchgen.engine.worklist.positions import Positions
from batchgen.engine.worklist.selection import ANY_KIND, failed_kinds
from batchgen.errors import UsageError
from batchgen.job import SIMULATOR, Provider
from batchgen.manifest.plan import Plan, check
from batchgen.storage.comparison import ensure_not_behind
from batchgen.storage.directory import ledger_path, locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.summary import Summary
from batchgen.types import Problem, Severity, Task

_Items: TypeAlias = Iterator[Task | Problem]


class Session(RunRequest, frozen=True):
    """A run before its start: checks the manifest, locks the output directory, opens the ledger."""

    def run(self) -> Summary:
        """Check the manifest, run the tasks that are left, and write the results.

        Raises BatchgenError for errors that a person has to fix.
        """
        with self._assembled(Stop(self.clock)) as run:
            return asyncio.run(run.run())

    async def run_async(self, stop: Stop) -> Summary:
        """Do the same as `run` in the running event loop, which is blocked during the check.

        stop: ends the run early when it is set; requests in flight are finished.
        """
        with self._assembled(stop) as run:
            return await run.run()

    @contextmanager
    def _assembled(self, stop: Stop) -> Iterator[AssembledRun]:
        directory = self.manifest.job.output_dir
        is_counted = self.selection.is_in_shard if self.selection.shard else None
        positions = Positions(is_counted=is_counted)
        path = ledger_path(directory)
        with ExitStack() as stack:
            is_new = not path.exists()
            # A new directory is created only after the check.
            plan = self._check(positions) if is_new else None
            stack.enter_context(locked(directory, self.progress.log))
            ledger = stack.enter_context(Ledger(path))
            if not is_new:
                ensure_not_behind(directory)
            _check_provider(ledger, self.manifest.job.provider)
            self._report_unknown_kind(ledger)
            if (warning := other_manifest_warning(ledger, self.manifest)) is not None:
                self.progress.log(str(warning))
            if plan is None:
                positions = Positions(ledger, is_counted)
                plan = self._check(positions)
            record_manifest(ledger, self.manifest.source)
            run = AssembledRun(self, ledger, plan, positions, stop)
            yield stack.enter_context(closing(run))

    def _report_unknown_kind(self, ledger: Ledger) -> None:
        """Report if --retry-failed matches no task, which is not an error in a cron job."""
        kind = self.selection.retry_failed
        if kind in (None, ANY_KIND):
            return
        kinds = failed_kinds(ledger)
        if kind not in kinds:
            hint = f" with this kind; found: {', '.join(sorted(kinds))}" if kinds else ""
            self.progress.log(f"--retry-failed {kind}: no task has failed{hint}")

    def _check(self, positions: Positions) -> Plan:
        def select(items: _Items) -> _Items:
            watched = watch_folders(positions.watch(items), self.manifest.job)
            return self.selection.narrow(watched, to_the_end=True)

        plan = check(self.manifest, select=select)
        for line in plan.lines(Severity.WARNING):
            self.progress.log(line)
        plan.raise_errors()
        positions.close()
        return plan


def _check_provider(ledger: Ledger, provider: Provider) -> None:
    """Raise UsageError if simulated and paid results would mix: both would count as done."""
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
