"""A manifest, opened and checked: what a run would do and cost, without the network."""

from collections.abc import Callable, Iterator

import msgspec

from batchgen.job import Job
from batchgen.manifest.dependencies import References
from batchgen.manifest.estimate import Estimate, Estimator
from batchgen.manifest.open import Manifest
from batchgen.manifest.preview import shown as shown_body
from batchgen.manifest.problems import ProblemGroup, RejectedError, problem_lines
from batchgen.provider.adapter import Adapter
from batchgen.provider.pricing import Prices
from batchgen.types import HttpRequest, Json, Problem, Severity, Task

_KEPT_PROBLEMS = 100_000


class Plan(msgspec.Struct):
    """What the check of a whole manifest came to.

    whole, models: the tasks that were selected, of all that were `read`: in all, and of each model.
    requests: the first ones.
    problems: every error, and of equal warnings the first.
    warned: the warnings of each text.
    references: what the tasks take from one another, selected or not.
    """

    whole: Estimate = msgspec.field(default_factory=Estimate)
    models: dict[str, Estimate] = msgspec.field(default_factory=dict)
    requests: list[HttpRequest] = msgspec.field(default_factory=list)
    read: int = 0
    problems: list[Problem] = msgspec.field(default_factory=list)
    errors: int = 0
    warnings: int = 0
    warned: dict[str, ProblemGroup] = msgspec.field(default_factory=dict)
    references: References = msgspec.field(default_factory=References)

    def note(self, problem: Problem, *, first: bool = False) -> None:
        """Take a problem in; first: before all others."""
        if problem.severity is Severity.ERROR:
            self.errors += 1
        else:
            self.warnings += 1
            alike = self.warned.get(problem.message)
            if alike is not None:  # of equal warnings the first row's is kept
                alike.add(problem)
                return
            self.warned[problem.message] = ProblemGroup(problem)
        if first:
            self.problems.insert(0, problem)
        elif len(self.problems) < _KEPT_PROBLEMS:
            self.problems.append(problem)

    def raise_errors(self) -> None:
        """Raise RejectedError where anything is wrong."""
        if self.errors:
            errors = [one for one in self.problems if one.severity is Severity.ERROR]
            raise RejectedError(errors, self.errors - len(errors))

    def lines(self, *severities: Severity) -> Iterator[str]:
        """What a person reads of the problems; severities: of these alone, where any are named."""
        wanted = severities or tuple(Severity)
        known = {Severity.ERROR: self.errors, Severity.WARNING: self.warnings}
        told = [
            self.warned[one.message] if one.severity is Severity.WARNING else ProblemGroup(one)
            for one in self.problems
            if one.severity in wanted
        ]
        more = sum(known[one] for one in wanted) - sum(one.count for one in told)
        return problem_lines(told, more)

    def to_json(self) -> dict[str, Json]:
        """What `plan --json` prints."""
        return {
            "tasks": self.whole.tasks,
            "problems": [
                {
                    "file": problem.file,
                    "line": problem.line,
                    "severity": str(problem.severity),
                    "message": problem.message,
                }
                for problem in self.problems
            ],
            "cost_usd": self.whole.known_usd(),
            "unpriced": self.whole.unpriced,
            "fed": self.references.takers,
            "models": {model: share.tasks for model, share in self.models.items()},
            "by_model": {model: share.to_json() for model, share in self.models.items()},
            "requests": [
                {
                    "method": request.method,
                    "path": request.path,
                    "body": shown_body(request.body, multipart=request.multipart),
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
    """Read the whole manifest once and say everything that is wrong with it.

    select: narrows the tasks (`--only`, `--limit`, `--shard`). identify: whether it goes by their
    keys and digests.
    """
    tally = Estimator(Prices(manifest.job), Adapter(manifest.job))
    plan = Plan(tally.whole, tally.models, tally.requests)
    told = set(manifest.problems)
    for problem in manifest.problems:
        plan.note(problem)
    require_price = manifest.job.require_price
    for item in select(_counted(manifest.tasks(identify=identify), plan)):
        if isinstance(item, Problem):
            if item not in told:
                plan.note(item)
        elif not tally.add(item) and require_price:
            plan.note(_unpriced(item))
    tally.close()
    if plan.references:
        _check_references(manifest, plan)
    if not plan.whole.tasks and not plan.errors:
        plan.note(_nothing(manifest.source.label, plan.read))
    if plan.whole.unpriced and not manifest.job.require_price and (bound := _bound(manifest.job)):
        plan.note(_unbounded(manifest.source.label, plan, bound))
    return plan


def _counted(items: Iterator[Task | Problem], plan: Plan) -> Iterator[Task | Problem]:
    for item in items:
        if isinstance(item, Task):
            plan.read += 1
            if item.inputs:
                plan.references.note(item)
        yield item


def _check_references(manifest: Manifest, plan: Plan) -> None:
    """Read the tasks again for those that others refer to: they may stand anywhere."""

    def tasks() -> Iterator[Task]:
        return (item for item in manifest.tasks(check=False) if isinstance(item, Task))

    plan.references.learn(tasks())
    for problem in plan.references.problems(tasks, sound=not plan.errors):
        plan.note(problem)


def _nothing(label: str, tasks: int) -> Problem:
    """Why there is nothing to do: an empty manifest is an error, an empty selection is not."""
    if not tasks:
        return Problem(label, 0, "there is nothing to do: no prompts")
    told = f"none of the {tasks:,} tasks is selected by --only, --limit or --shard"
    return Problem(label, 0, told, Severity.WARNING)


def _bound(job: Job) -> str:
    """What is to hold the job's spending back, if anything is."""
    if job.limits.max_cost_usd is not None:
        return "max_cost"
    return "" if job.budget is None else "the budget"


def _unbounded(label: str, plan: Plan, bound: str) -> Problem:
    whole = plan.whole
    message = (
        f"{whole.unpriced:,} of {whole.tasks:,} tasks have no known price, so {bound} counts them"
        " only once the provider has told what they cost: name it in the job's `prices`, try"
        " --live-prices, or have them refused with --require-price"
    )
    return Problem(label, 0, message, Severity.WARNING)


def _unpriced(task: Task) -> Problem:
    message = (
        f"no price is known for {task.model} with these parameters, and --require-price is given:"
        " name it in the job's `prices`, or try --live-prices"
    )
    return Problem(task.file, task.line, message)
