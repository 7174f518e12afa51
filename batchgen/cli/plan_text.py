"""The plan as text: tasks and price by model, what is done, limits, time, requests."""

from collections.abc import Iterator, Mapping

import msgspec

from batchgen.engine.worklist.remaining import Remaining
from batchgen.job import Limits
from batchgen.manifest.dependencies import References
from batchgen.manifest.estimate import Estimate
from batchgen.manifest.open import Manifest
from batchgen.manifest.plan import Plan
from batchgen.manifest.preview import preview_body
from batchgen.text import show_count, show_duration, show_money

_TYPICAL_S = 10.0  # an image takes about 1 s to 60 s, depending on the model
_HEAD = ("model", "tasks", "requests", "images", "price")


def plan_lines(
    manifest: Manifest, plan: Plan, remaining: Remaining | None, typical_s: float | None
) -> Iterator[str]:
    """Yield the lines of a plan, the conclusion first.

    remaining: None before the first run. typical_s: how long a request of this job has taken so
    far, in seconds; None if that is unknown.
    """
    job = manifest.job
    tasks = show_count(plan.total.tasks)
    yield f"{job.name}: {tasks} tasks, provider {job.provider.name}, output {job.output_dir}"
    yield from _table(plan)
    yield f"price     {_price(plan.total)}"
    if plan.references:
        yield f"inputs    {_inputs(plan.references)}"
    left = {model: estimate.tasks for model, estimate in plan.models.items()}
    if remaining is not None:
        left = dict(remaining.left)
        yield f"done      {_done(remaining)}"
    yield f"limits    {_limits(job.limits)}"
    if left:
        yield f"time      {_time(job.limits, left, typical_s)}"
    if plan.warnings:
        yield f"warnings  {show_count(plan.warnings)}, printed above"
    yield "first requests:"
    for request in plan.requests:
        body = preview_body(request.body, multipart=request.multipart)
        form = " (multipart/form-data)" if request.multipart else ""
        yield f"  {request.method} {request.path}{form} {msgspec.json.encode(body).decode()}"


def _table(plan: Plan) -> Iterator[str]:
    ranked = sorted(plan.models.items(), key=lambda item: (-item[1].tasks, item[0]))
    rows = [_HEAD, *(_row(model, estimate) for model, estimate in ranked)]
    if len(ranked) > 1:
        rows.append(_row("all", plan.total))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  " + "  ".join((first.ljust(widths[0]), *cells))


def _row(model: str, estimate: Estimate) -> tuple[str, ...]:
    counts = (estimate.tasks, estimate.requests, estimate.images)
    priced = estimate.tasks - estimate.unpriced
    at_least = "at least " if estimate.unpriced else ""
    price = f"{at_least}{show_money(estimate.cost_usd)}" if priced else "unknown"
    return (model, *map(show_count, counts), price)


def _price(whole: Estimate) -> str:
    if whole.unpriced == whole.tasks:
        return "unknown: these models have no known price"
    unpriced = f", plus {show_count(whole.unpriced)} tasks without a known price"
    return f"about {show_money(whole.cost_usd)}{unpriced if whole.unpriced else ''}"


def _done(remaining: Remaining) -> str:
    left = remaining.left.total()
    done = f"{show_count(remaining.tasks - left)} of {show_count(remaining.tasks)}"
    if not left:
        return f"{done}; nothing is left"
    unpriced = remaining.left_unpriced
    if unpriced == left:
        return f"{done}; {show_count(left)} left, without a known price"
    rest = f", {show_count(unpriced)} of them without a known price" if unpriced else ""
    return f"{done}; {show_count(left)} left, for about {show_money(remaining.left_usd)}{rest}"


def _inputs(references: References) -> str:
    tasks, sources = show_count(references.dependent_count), show_count(references.source_count)
    return f"{tasks} tasks wait for files of {sources} other tasks"


def _limits(limits: Limits) -> str:
    parts = (
        f"{show_count(limits.concurrency)} requests in flight",
        f"{limits.rpm:g} requests per minute and model" if limits.rpm else "",
        f"{limits.images_per_minute:g} images per minute" if limits.images_per_minute else "",
        f"max_cost {show_money(limits.max_cost_usd)}" if limits.max_cost_usd else "",
        f"max_requests {show_count(limits.max_requests)}" if limits.max_requests else "",
        f"deadline {show_duration(limits.deadline_s)}" if limits.deadline_s else "",
    )
    return ", ".join(part for part in parts if part)


def _time(limits: Limits, left: Mapping[str, int], typical_s: float | None) -> str:
    """Return the time of the slowest model, or of all tasks at the run's own concurrency."""
    each_s = _TYPICAL_S if typical_s is None else typical_s
    whole_s = -(-sum(left.values()) // limits.concurrency) * each_s
    for model, count in left.items():
        bounds = limits.of_model(model)
        whole_s = max(whole_s, -(-count // bounds.concurrency) * each_s)
        if bounds.rpm:
            whole_s = max(whole_s, (count - 1) * 60 / bounds.rpm + each_s)
        if bounds.images_per_minute:
            whole_s = max(whole_s, (count - 1) * 60 / bounds.images_per_minute + each_s)
    source = "the average so far" if typical_s is not None else "an assumption"
    return f"about {show_duration(whole_s)} at {show_duration(each_s)} per request ({source})"
