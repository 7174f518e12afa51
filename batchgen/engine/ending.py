"""How a run ended: its exit code, advice for the next run, and the summary."""

from collections import Counter
from collections.abc import Mapping

import msgspec

from batchgen.engine.request import RunRequest
from batchgen.engine.signals import Signals
from batchgen.engine.stop import Stop, StopReason
from batchgen.engine.worklist.positions import Positions
from batchgen.errors import Exit
from batchgen.job import SIMULATOR, Provider
from batchgen.manifest.plan import Plan
from batchgen.storage.counts import JobCounts, RunCounts, Spend
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import count_paid, public_status
from batchgen.storage.summary import Ending, FailureGroup, FailureGroups, Summary
from batchgen.types import Status


class Summarizer(msgspec.Struct, frozen=True):
    """Makes the summary of a run. positions: how many tasks the whole manifest has."""

    request: RunRequest
    ledger: Ledger
    plan: Plan
    positions: Positions

    def summary(
        self, run: RunCounts, stop: Stop, untouched: Counter[Status], signals: Signals
    ) -> Summary:
        """Return how the run ended and the state of the whole job.

        untouched: the number of selected tasks that needed nothing, by status.
        """
        selected = Counter[str](untouched) + Counter(run.terminal())
        is_success = selected.keys() <= {"succeeded"} and not run.pending
        ending, exit_code = ending_of(stop, signals, is_success=is_success)
        totals = self.ledger.totals()
        job = self.request.manifest.job
        is_partial = self.request.selection.is_partial()
        return Summary(
            name=job.name,
            ending=ending,
            tasks=self._job_counts(totals.counts),
            run=run,
            command=self.request.command,
            output=str(job.output_dir),
            exit_code=exit_code,
            reason=stop.message or None,
            spend=Spend(self.ledger.spent_usd(), totals.unpriced),
            artifacts=totals.artifacts,
            size_bytes=totals.size_bytes,
            failures=self._failures(totals.counts),
            advice=advice_of(stop, job.provider),
            selected=JobCounts.of(self.plan.total.tasks, selected) if is_partial else None,
            simulated=job.provider.name == SIMULATOR,
            possibly_charged_usd=self.ledger.at_risk_usd(),
        )

    def _job_counts(self, in_ledger: Mapping[Status, int]) -> JobCounts:
        counts: Counter[str] = Counter()
        for status, count in in_ledger.items():
            counts[public_status(status)] += count
        total = max(self.positions.count, counts.total())
        return JobCounts.of(total, counts, pending_paid=count_paid(in_ledger))

    def _failures(self, in_ledger: Mapping[Status, int]) -> tuple[FailureGroup, ...]:
        groups = FailureGroups()
        if in_ledger.keys() - {Status.SUCCEEDED}:  # the search reads the whole ledger
            for record in self.ledger.unsuccessful():
                groups.add(record.task, record.outcome)
        return groups.groups()


def ending_of(stop: Stop, signals: Signals, *, is_success: bool) -> tuple[Ending, Exit]:
    """Return how a run ended, and its exit code.

    is_success: whether all selected tasks have succeeded.
    """
    match stop.reason:
        case None if is_success:
            return Ending.COMPLETE, Exit.OK
        case None:
            return Ending.INCOMPLETE, Exit.SOME_FAILED
        case StopReason.SIGNAL:
            return Ending.INTERRUPTED, signals.exit_code
        case StopReason.STORAGE:
            return Ending.HALTED, Exit.STORAGE
        case _:
            return Ending.HALTED, Exit.HALTED


_ADVICE = {
    "max_cost": "raise max_cost: --max-cost USD, or limits.max_cost in the job",
    "proxy": "set HTTPS_PROXY, HTTP_PROXY and NO_PROXY to what your network needs",
    "blocked": "ask the provider why it has blocked the account",
    "model": "choose another model, or have the account allowed to use this one",
    "forbidden": "check what the account may do, and the model",
    "not_found": "check base_url, the paths of the provider and the model",
    "web_page": "check base_url: it has to be the API's address, usually one that ends in /v1",
    "bad_response": "see the kept replies (`reply` in the results); a key of the job file"
    " (providers.NAME.jobs) or a new version may read them",
    "rate_limited": "run again later, or lower limits.rpm and limits.concurrency",
    "tls": "correct base_url, or name a certificate in providers.NAME.ca_file or SSL_CERT_FILE",
}


def advice_of(stop: Stop, provider: Provider) -> str | None:
    """Return what a person has to do before the next run; None if nothing."""
    variables = " or ".join(provider.key_variables)
    match stop.kind:
        case "auth" if variables:
            return f"set {variables} to a key that {provider.name} accepts for this model"
        case "quota" if variables:
            return f"add credit to the account of the key in {variables}, or set another key"
        case kind if kind in _ADVICE:
            return _ADVICE[kind]
        case _ if stop.reason is StopReason.MANIFEST:
            return "fix the manifest"
        case _:
            return None
