"""`batchgen plan`: everything that `run` checks and computes, without the network."""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from batchgen.cli.arguments import flags_of, open_source, quoted, selection_of
from batchgen.engine.decisions import BUILT_IN, describe
from batchgen.engine.provenance import other_manifest
from batchgen.engine.worklist.dependencies import Dependencies
from batchgen.engine.worklist.dependent import DependentWorklist
from batchgen.engine.worklist.remaining import Remaining
from batchgen.engine.worklist.selection import Selection
from batchgen.errors import Exit
from batchgen.job import Access, Limits
from batchgen.manifest.dependencies import References
from batchgen.manifest.estimate import Estimate
from batchgen.manifest.open import Manifest, open_manifest
from batchgen.manifest.plan import Plan, check
from batchgen.manifest.preview import preview_body
from batchgen.provider.pricing import Prices
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.text import show_count, show_duration, show_money
from batchgen.types import Json, Rule


def plan_command(arguments: argparse.Namespace) -> int:
    """`batchgen plan`: everything that `run` checks and computes, without the network."""
    selection = selection_of(arguments)
    with open_source(arguments) as source:
        manifest = open_manifest(source, flags_of(arguments))
        if arguments.live_prices:  # the list of models needs no key
            manifest = quoted(manifest, Access(), _tell)
        with _standing(manifest, selection) as standing:
            plan = _check(manifest, selection, standing)
            other = None if standing is None else other_manifest(standing.ledger, manifest)
            if other is not None:  # the results of another manifest beside these: it touches all
                plan.add_problem(other, first=True)
            if standing is not None and plan.references and not plan.errors:
                sources = Dependencies(plan.references, standing.ledger, manifest.job.output_dir)
                standing.count_dependent(
                    DependentWorklist(manifest, standing.ledger, selection, sources)
                )
            typical_s = None if standing is None else standing.ledger.typical_duration_s()
    if arguments.json:
        told = plan.to_json() | _done(standing)
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        return Exit.USAGE if plan.errors else Exit.OK
    for line in plan.lines():
        _tell(line)
    if plan.errors:
        return Exit.USAGE
    for line in plan_lines(manifest, plan, standing, typical_s):
        sys.stdout.write(line + "\n")
    return Exit.OK


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _check(manifest: Manifest, selection: Selection, standing: Remaining | None) -> Plan:
    watch = iter if standing is None else standing.watch
    return check(
        manifest,
        select=lambda items: watch(selection.narrow(items, to_the_end=True)),
        identify=standing is not None or selection.shard is not None,
    )


@contextmanager
def _standing(manifest: Manifest, selection: Selection) -> Iterator[Remaining | None]:
    """What the output directory has already; None where no run has been yet, or none can be."""
    path = ledger_path(manifest.job.output_dir)
    if manifest.problems or not path.is_file():
        yield None
        return
    with Ledger(path) as ledger:
        yield Remaining(ledger, selection, Prices(manifest.job))


def _done(standing: Remaining | None) -> dict[str, Json]:
    """Null where no run has been yet."""
    if standing is None:
        return {"done": None, "left": None}
    left = standing.left.total()
    return {"done": standing.tasks - left, "left": left}


TYPICAL_S = 10.0  # FACTS section 4: an image takes about 1 s to 60 s
_HEAD = ("model", "tasks", "requests", "images", "price")


def plan_lines(
    manifest: Manifest, plan: Plan, standing: Remaining | None, typical_s: float | None
) -> Iterator[str]:
    """The plan, its conclusion first, the long tables last.

    typical_s: how long a request of this job has taken so far, where that is known.
    """
    job = manifest.job
    tasks = show_count(plan.total.tasks)
    yield f"{job.name}: {tasks} tasks for {job.provider.name} into {job.output_dir}"
    yield from _table(plan)
    yield f"price     {_price(plan.total)}"
    if plan.references:
        yield f"feeding   {_feeding(plan.references)}"
    left = {model: share.tasks for model, share in plan.models.items()}
    if standing is not None:
        left = dict(standing.left)
        yield f"done      {_done_line(standing)}"
    yield f"limits    {_limits(job.limits)}"
    if left:
        yield f"time      {_time(job.limits, left, typical_s)}"
    if plan.warnings:
        yield f"warnings  {show_count(plan.warnings)}, told above"
    yield "requests (the first ones):"
    for request in plan.requests:
        body = preview_body(request.body, multipart=request.multipart)
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
        rows.append(_row("all", plan.total))
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEAD))]
    for first, *others in rows:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        yield "  " + "  ".join((first.ljust(widths[0]), *cells))


def _row(model: str, share: Estimate) -> tuple[str, ...]:
    counts = (share.tasks, share.requests, share.images)
    known = share.tasks - share.unpriced
    least = "at least " if share.unpriced else ""
    price = f"{least}{show_money(share.cost_usd)}" if known else "unknown"
    return (model, *map(show_count, counts), price)


def _price(whole: Estimate) -> str:
    if whole.unpriced == whole.tasks:
        return "unknown: no price is known for these models"
    rest = f", and {show_count(whole.unpriced)} tasks of unknown price" if whole.unpriced else ""
    return f"about {show_money(whole.cost_usd)}{rest}"


def _done_line(standing: Remaining) -> str:
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
    takers, sources = show_count(references.dependent_count), show_count(references.source_count)
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
