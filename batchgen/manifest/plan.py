"""Check a whole manifest without the network: its tasks, their cost, and every problem."""

from collections.abc import Callable, Iterator

import msgspec

from batchgen.job import Job
from batchgen.manifest.dependencies import References
from batchgen.manifest.estimate import Estimate, Estimator
from batchgen.manifest.open import Manifest
from batchgen.manifest.preview import preview_body
from batchgen.manifest.problems import ProblemGroup, RejectedError, format_problems
from batchgen.provider.adapter import Adapter
from batchgen.provider.pricing import Prices
from batchgen.text import readable
from batchgen.types import HttpRequest, Json, Problem, Severity, Task

_MAX_PROBLEMS = 100_000


class Plan(msgspec.Struct):
    """The result of checking a whole manifest.

    total, models: the estimate of the selected tasks, in total and per model.
    requests: the first three.
    tasks_read: the number of tasks of the manifest, selected or not.
    problems: all errors, and the first of equal warnings; at most 100,000.
    errors, warnings: how many there are in total.
    warning_groups: the warnings by their message.
    references: those between all tasks, selected or not.
    """

    total: Estimate = msgspec.field(default_factory=Estimate)
    models: dict[str, Estimate] = msgspec.field(default_factory=dict)
    requests: list[HttpRequest] = msgspec.field(default_factory=list)
    tasks_read: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    errors: int = 0
    warnings: int = 0
    warning_groups: dict[str, ProblemGroup] = msgspec.field(default_factory=dict)
    references: References = msgspec.field(default_factory=References)

    def add_problem(self, problem: Problem, *, first: bool = False) -> None:
        """Add a problem; first: put it before all others."""
        if problem.severity is Severity.ERROR:
            self.errors += 1
        else:
            self.warnings += 1
            group = self.warning_groups.get(problem.message)
            if group is not None:
                group.add(problem)
                return
            self.warning_groups[problem.message] = ProblemGroup(problem)
        if first:
            self.problems.insert(0, problem)
        elif len(self.problems) < _MAX_PROBLEMS:
            self.problems.append(problem)

    def raise_errors(self) -> None:
        """Raise RejectedError if there are errors."""
        if self.errors:
            errors = [problem for problem in self.problems if problem.severity is Severity.ERROR]
            raise RejectedError(errors, self.errors - len(errors))

    def lines(self, *severities: Severity) -> Iterator[str]:
        """Yield the messages for the terminal; severities: only these, if any are given."""
        selected = severities or tuple(Severity)
        counts = {Severity.ERROR: self.errors, Severity.WARNING: self.warnings}
        groups = [
            self.warning_groups[problem.message]
            if problem.severity is Severity.WARNING
            else ProblemGroup(problem)
            for problem in self.problems
            if problem.severity in selected
        ]
        total = sum(counts[severity] for severity in selected)
        return format_problems(groups, total - sum(group.count for group in groups))

    def to_json(self) -> dict[str, Json]:
        """Return the object that `plan --json` prints."""
        return {
            "tasks": self.total.tasks,
            "problems": [
                {
                    "file": readable(problem.file),
                    "line": problem.line,
                    "severity": str(problem.severity),
                    "message": readable(problem.message),
                }
                for problem in self.problems
            ],
            "cost_usd": self.total.known_usd(),
            "unpriced": self.total.unpriced,
            "fed": self.references.dependent_count,
            "models": {model: estimate.tasks for model, estimate in self.models.items()},
            "by_model": {model: estimate.to_json() for model, estimate in self.models.items()},
            "requests": [
                {
                    "method": request.method,
                    "path": request.path,
                    "body": preview_body(request.body, multipart=request.multipart),
                }
                for request in self.requests
            ],
        }


def check(
    manifest: Manifest,
    *,
    select: Callable[[Iterator[Task | Problem]], Iterator[Task | Problem]] = iter,
    identify: bool = True,
) -> Plan:
    """Read the whole manifest and report every problem; read it again if rows have references.

    select: selects tasks (`--only`, `--limit`, `--shard`).
    identify: whether tasks get their keys and digests, if `select` needs them.
    """
    estimator = Estimator(Prices(manifest.job), Adapter(manifest.job))
    plan = Plan(estimator.total, estimator.models, estimator.requests)
    job_problems = set(manifest.problems)
    for problem in manifest.problems:
        plan.add_problem(problem)
    require_price = manifest.job.require_price
    for item in select(_counted(manifest.tasks(identify=identify), plan)):
        if isinstance(item, Problem):
            if item not in job_problems:
                plan.add_problem(item)
        elif not estimator.add(item) and require_price:
            plan.add_problem(_unpriced(item))
    estimator.close()
    if plan.references:
        _check_references(manifest, plan)
    if not plan.total.tasks and not plan.errors:
        plan.add_problem(_nothing_to_do(manifest.source.label, plan.tasks_read))
    limit = _spending_limit(manifest.job)
    if limit and plan.total.unpriced and not manifest.job.require_price:
        plan.add_problem(_limit_without_prices(manifest.source.label, plan.total, limit))
    return plan


def _counted(items: Iterator[Task | Problem], plan: Plan) -> Iterator[Task | Problem]:
    for item in items:
        if isinstance(item, Task):
            plan.tasks_read += 1
            if item.inputs:
                plan.references.add(item)
        yield item


def _check_references(manifest: Manifest, plan: Plan) -> None:
    """Read the tasks again: a reference may name any row of the manifest."""

    def tasks() -> Iterator[Task]:
        return (item for item in manifest.tasks(check=False) if isinstance(item, Task))

    plan.references.find_sources(tasks())
    for problem in plan.references.problems(tasks, rows_valid=not plan.errors):
        plan.add_problem(problem)


def _nothing_to_do(label: str, tasks: int) -> Problem:
    """Return an error for an empty manifest, a warning for an empty selection."""
    if not tasks:
        return Problem(label, 0, "there is nothing to do: the manifest has no rows; add a prompt")
    message = f"--only, --limit or --shard selects none of the {tasks:,} tasks"
    return Problem(label, 0, message, Severity.WARNING)


def _spending_limit(job: Job) -> str:
    if job.limits.max_cost_usd is not None:
        return "max_cost"
    return "" if job.budget is None else "the budget"


def _limit_without_prices(label: str, total: Estimate, limit: str) -> Problem:
    message = (
        f"{total.unpriced:,} of {total.tasks:,} tasks have no known price, so {limit} counts them"
        " only after the provider reports their cost; set their price in the job's `prices`, try"
        " --live-prices, or refuse them with --require-price"
    )
    return Problem(label, 0, message, Severity.WARNING)


def _unpriced(task: Task) -> Problem:
    message = (
        f"no price is known for {task.model} with these parameters, and --require-price is set;"
        " set the price in the job's `prices`, or try --live-prices"
    )
    return Problem(task.file, task.line, message)
