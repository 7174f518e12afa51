"""`batchgen plan`: everything that `run` checks and computes, without the network."""

import argparse
import sys
from collections.abc import Iterator

import msgspec

from batchgen.commands.arguments import flags_of, open_source, selection_of
from batchgen.commands.quoting import quoted
from batchgen.errors import Exit
from batchgen.job import Access
from batchgen.plan import Manifest, Plan, check, open_manifest
from batchgen.retry import BUILT_IN, describe
from batchgen.text import show_count, show_duration, show_money

_SHOWN_PROBLEMS = 20
_TYPICAL_LATENCY_S = 10.0  # FACTS section 4: an image takes about 1 s to 60 s


def plan_command(arguments: argparse.Namespace) -> int:
    """`batchgen plan`: everything that `run` checks and computes, without the network."""
    with open_source(arguments) as source:
        manifest = open_manifest(source, flags_of(arguments))
        if arguments.live_prices:  # the list of models needs no key
            manifest = quoted(manifest, Access(), _tell)
        selection = selection_of(arguments)
        plan = check(manifest, select=lambda items: selection.narrow(items, to_the_end=True))
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(plan.to_json()).decode() + "\n")
        return Exit.USAGE if plan.errors else Exit.OK
    for problem in plan.problems[:_SHOWN_PROBLEMS]:
        sys.stderr.write(f"{problem}\n")
    hidden = plan.errors + plan.warnings - _SHOWN_PROBLEMS
    if hidden > 0:
        sys.stderr.write(f"and {show_count(hidden)} more\n")
    if plan.errors:
        return Exit.USAGE
    for line in _plan_lines(manifest, plan):
        sys.stdout.write(line + "\n")
    return Exit.OK


def _tell(message: str) -> None:
    sys.stderr.write(f"{message}\n")


def _plan_lines(manifest: Manifest, plan: Plan) -> Iterator[str]:
    job = manifest.job
    yield "decisions (the first that fits):"
    rows = describe((*job.retry.rules, *BUILT_IN))
    for seen, then, kind in rows:
        yield f"  {seen}: {then} {f'({kind})' if kind else ''}".rstrip()
    yield "requests (the first ones):"
    for request in plan.requests:
        body = msgspec.json.encode(request.body).decode()
        yield f"  {request.method} {request.path} {body}"
    tasks = show_count(plan.tasks)
    yield f"{job.name}: {tasks} tasks for {job.provider.name} into {job.output_dir}"
    for model, count in plan.models.most_common():
        yield f"  {show_count(count):>9}  {model}"
    priced = plan.tasks - plan.unpriced
    yield f"price     {_price(plan.cost_usd, priced, plan.unpriced)}"
    yield f"time      {_time(manifest, plan)}"


def _price(cost_usd: float, priced: int, unpriced: int) -> str:
    if not priced:
        return "unknown: no price is known for these models"
    rest = f", and {show_count(unpriced)} tasks of unknown price" if unpriced else ""
    return f"about {show_money(cost_usd)}{rest}"


def _time(manifest: Manifest, plan: Plan) -> str:
    limits = manifest.job.limits
    rounds = -(-plan.tasks // limits.concurrency)
    took = rounds * _TYPICAL_LATENCY_S
    if limits.rpm:
        busiest = max(plan.models.values(), default=plan.tasks)
        took = max(took, busiest * 60 / limits.rpm)
    return f"about {show_duration(took)} if a request takes {show_duration(_TYPICAL_LATENCY_S)}"
