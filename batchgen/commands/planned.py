"""What `batchgen plan` tells a person: a table by model, what it costs and how long it takes."""

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from batchgen.engine.decisions import BUILT_IN, describe
from batchgen.engine.worklist.remaining import Standing
from batchgen.job import Limits
from batchgen.manifest.dependencies import References
from batchgen.manifest.estimate import Share
from batchgen.manifest.open import Manifest
from batchgen.manifest.plan import Plan
from batchgen.manifest.preview import shown as shown_body
from batchgen.text import show_count, show_duration, show_money
from batchgen.types import Rule

TYPICAL_S = 10.0  # FACTS section 4: an image takes about 1 s to 60 s
_HEAD = ("model", "tasks", "requests", "images", "price")


def plan_lines(
    manifest: Manifest, plan: Plan, standing: Standing | None, typical_s: float | None
) -> Iterator[str]:
    """The plan, its conclusion first, the long tables last.

    typical_s: how long a request of this job has taken so far, where that is known.
    """
    job = manifest.job
    tasks = show_count(plan.whole.tasks)
    yield f"{job.name}: {tasks} tasks for {job.provider.name} into {job.output_dir}"
    yield from _table(plan)
    yield f"price     {_price(plan.whole)}"
    if plan.references:
        yield f"feeding   {_feeding(plan.references)}"
    left = {model: share.tasks for model, share in plan.models.items()}
    if standing is not None:
        left = dict(standing.left)
        yield f"done      {_done(standing)}"
    yield f"limits    {_limits(job.limits)}"
    if left:
        yield f"time      {_time(job.limits, left, typical_s)}"
    if plan.warnings:
        yield f"warnings  {show_count(plan.warnings)}, told above"
    yield "requests (the first ones):"
    for request in plan.requests:
        body = shown_body(request.body, multipart=request.multipart)
        form = " (multipart/form-data)" if request.multipart else ""
        yield f"  {request.method} {request.path}{form} {msgspec.json.encode(body).decode()}"
    if job.retry.rules:
        yield "decisions of the job's own rules (the first that fits):"
        yield from _decisions(job.retry.rules)
    yield "decisions of the built-in table:"
    yield from _decisions(BUILT_IN)


def _decisions(rules: Sequence[Rule]) -> Iterator[str]:
    for seen, then, kind in describe(rules):
        yield f"  {seen}: {then} {f'({kind})' if kind else ''}".rstrip()


def _table(plan: Plan) -> Iterator[str]:
    ranked = sorted(plan.models.items(), key=lambda item: (-item[1].tasks, item[0]))
    rows = [_HEAD, *(_row(model, share) for model, share in ranked)]
    if len(ranked) > 1:
        rows.append(_row("all", plan.whole))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  " + "  ".join((first.ljust(widths[0]), *cells))


def _row(model: str, share: Share) -> tuple[str, ...]:
    counts = (share.tasks, share.requests, share.images)
    known = share.tasks - share.unpriced
    least = "at least " if share.unpriced else ""
    price = f"{least}{show_money(share.cost_usd)}" if known else "unknown"
    return (model, *map(show_count, counts), price)


def _price(whole: Share) -> str:
    if whole.unpriced == whole.tasks:
        return "unknown: no price is known for these models"
    rest = f", and {show_count(whole.unpriced)} tasks of unknown price" if whole.unpriced else ""
    return f"about {show_money(whole.cost_usd)}{rest}"


def _done(standing: Standing) -> str:
    left = standing.left.total()
    done = f"{show_count(standing.tasks - left)} of {show_count(standing.tasks)}"
    if not left:
        return f"{done}; nothing is left"
    are = "is" if left == 1 else "are"
    unpriced = standing.left_unpriced
    if unpriced == left:
        return f"{done}; {show_count(left)} {are} left, at an unknown price"
    rest = f", and {show_count(unpriced)} of unknown price" if unpriced else ""
    return f"{done}; {show_count(left)} {are} left, for about {show_money(standing.left_usd)}{rest}"


def _feeding(references: References) -> str:
    takers, sources = show_count(references.takers), show_count(references.count)
    return f"{takers} take files of others ({sources}), and are made after them"


def _limits(limits: Limits) -> str:
    told = (
        f"{show_count(limits.concurrency)} at once",
        f"{limits.rpm:g} requests a minute for each model" if limits.rpm else "",
        f"{limits.images_per_minute:g} images a minute" if limits.images_per_minute else "",
        f"max_cost {show_money(limits.max_cost_usd)}" if limits.max_cost_usd else "",
        f"max_requests {show_count(limits.max_requests)}" if limits.max_requests else "",
        f"deadline {show_duration(limits.deadline_s)}" if limits.deadline_s else "",
    )
    return ", ".join(one for one in told if one)


def _time(limits: Limits, left: Mapping[str, int], typical_s: float | None) -> str:
    """How long the slowest model takes, or all together at the run's own concurrency."""
    each_s = TYPICAL_S if typical_s is None else typical_s
    took_s = -(-sum(left.values()) // limits.concurrency) * each_s
    for model, count in left.items():
        bounds = limits.of_model(model)
        took_s = max(took_s, -(-count // bounds.concurrency) * each_s)
        if bounds.rpm:
            took_s = max(took_s, (count - 1) * 60 / bounds.rpm + each_s)
        if bounds.images_per_minute:
            took_s = max(took_s, (count - 1) * 60 / bounds.images_per_minute + each_s)
    so_far = "" if typical_s is None else ", as it did so far"
    return f"about {show_duration(took_s)} if a request takes {show_duration(each_s)}{so_far}"
