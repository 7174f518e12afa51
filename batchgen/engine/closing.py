"""How a run is closed: the results in manifest order, and the summary."""

from collections import Counter

import msgspec

from batchgen.engine.request import RunRequest
from batchgen.engine.signals import Signals
from batchgen.engine.stop import Stop, StopReason, advice_of, ending_of
from batchgen.engine.worklist.positions import Positions
from batchgen.job import SIMULATOR
from batchgen.manifest.plan import Plan
from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import paid_for, shown_status
from batchgen.storage.summary import FailureGroups, Summary
from batchgen.types import Status


class Closing(msgspec.Struct, frozen=True):
    """Sums up what a run did. positions: how many tasks the whole manifest has."""

    terms: RunRequest
    ledger: Ledger
    plan: Plan
    positions: Positions

    def summary(
        self, run: RunCounts, stop: Stop, passed: Counter[Status], signals: Signals
    ) -> Summary:
        """How the run ended, and how the whole job stands.

        passed: tasks that were left as they are, by status.
        """
        totals = self.ledger.totals()
        counts: Counter[str] = Counter()
        for status, count in totals.counts.items():
            counts[shown_status(status)] += count
        chosen = Counter[str](passed) + Counter(run.ended())
        job = self.terms.manifest.job
        failures = FailureGroups()
        if totals.counts.keys() - {Status.SUCCEEDED}:  # the search reads the whole ledger
            for record in self.ledger.unsuccessful():
                failures.add(record.task, record.outcome)
        good = chosen.keys() <= {"succeeded"} and not run.pending
        ending, exit_code = ending_of(stop, good=good)
        if stop.reason is StopReason.SIGNAL:
            exit_code = signals.exit_code
        partial = self.terms.selection.is_partial()
        return Summary(
            name=job.name,
            ending=ending,
            tasks=JobCounts.of(
                max(self.positions.count, counts.total()),
                counts,
                pending_paid=paid_for(totals.counts),
            ),
            run=run,
            command=self.terms.command,
            output=str(job.output_dir),
            exit_code=exit_code,
            reason=stop.message or None,
            spend=Spend(self.ledger.spent_usd(), totals.unpriced),
            artifacts=totals.artifacts,
            size_bytes=totals.size_bytes,
            failures=failures.groups(),
            advice=advice_of(stop, job.provider),
            selected=JobCounts.of(self.plan.total.tasks, chosen) if partial else None,
            simulated=job.provider.name == SIMULATOR,
        )
