"""`batchgen plan`: the checks and the estimate of `run`, without sending anything."""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import msgspec

from batchgen.cli.arguments import flags_of, open_source, selection_of, with_live_prices
from batchgen.cli.plan_text import plan_lines
from batchgen.cli.rules_text import rules_json, rules_lines
from batchgen.engine.provenance import other_manifest_warning
from batchgen.engine.worklist.dependencies import Dependencies
from batchgen.engine.worklist.dependent import DependentWorklist
from batchgen.engine.worklist.remaining import Remaining
from batchgen.engine.worklist.selection import Selection
from batchgen.errors import Exit, UsageError
from batchgen.job import Access
from batchgen.job.access import refuse_keys_in_urls
from batchgen.manifest.open import Manifest, open_manifest
from batchgen.manifest.plan import Plan, check
from batchgen.provider.pricing import Prices
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.types import Json, Rule


def plan_command(arguments: argparse.Namespace) -> int:
    """Print the plan of a manifest, or the rules; return USAGE if the manifest has errors."""
    if arguments.rules:
        return _print_rules(arguments)
    if arguments.manifest is None:
        raise UsageError("plan needs a MANIFEST (or --rules, for the decision table)")
    selection = selection_of(arguments)
    with open_source(arguments) as source:
        manifest = open_manifest(source, flags_of(arguments))
        refuse_keys_in_urls(manifest.job.provider, os.environ)
        if arguments.live_prices:  # the price list needs no key
            manifest = with_live_prices(manifest, Access(), _log)
        with _remaining(manifest, selection) as remaining:
            plan = _check(manifest, selection, remaining)
            typical_s = None
            if remaining is not None:
                _compare(plan, manifest, selection, remaining)
                typical_s = remaining.ledger.mean_duration_s()
    if arguments.json:
        fields = plan.to_json() | _done(remaining)
        sys.stdout.write(msgspec.json.encode(fields).decode() + "\n")
        return Exit.USAGE if plan.errors else Exit.OK
    for line in plan.lines():
        _log(line)
    if plan.errors:
        return Exit.USAGE
    for line in plan_lines(manifest, plan, remaining, typical_s):
        sys.stdout.write(line + "\n")
    return Exit.OK


def _print_rules(arguments: argparse.Namespace) -> int:
    """Print the rules of the job, if a manifest is given, and the built-in table."""
    rules: Sequence[Rule] = ()
    if arguments.manifest is not None:
        with open_source(arguments) as source:
            manifest = open_manifest(source, flags_of(arguments))
        for problem in manifest.problems:
            _log(str(problem))
        if manifest.problems:
            return Exit.USAGE
        rules = manifest.job.retry.rules
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(rules_json(rules)).decode() + "\n")
    else:
        sys.stdout.writelines(f"{line}\n" for line in rules_lines(rules))
    return Exit.OK


def _log(message: str) -> None:
    sys.stderr.write(f"{message}\n")


@contextmanager
def _remaining(manifest: Manifest, selection: Selection) -> Iterator[Remaining | None]:
    """Open the ledger to count what is left; None if there was no run or the job has problems."""
    path = ledger_path(manifest.job.output_dir)
    if manifest.problems or not path.is_file():
        yield None
        return
    with Ledger(path) as ledger:
        yield Remaining(ledger, selection, Prices(manifest.job))


def _check(manifest: Manifest, selection: Selection, remaining: Remaining | None) -> Plan:
    watch = iter if remaining is None else remaining.watch
    return check(
        manifest,
        select=lambda items: watch(selection.narrow(items, to_the_end=True)),
        identify=remaining is not None or selection.shard is not None,
    )


def _compare(plan: Plan, manifest: Manifest, selection: Selection, remaining: Remaining) -> None:
    """Compare with the ledger: warn about another manifest's results, count dependent tasks."""
    other = other_manifest_warning(remaining.ledger, manifest)
    if other is not None:
        plan.add_problem(other, first=True)  # before the other warnings: it concerns all tasks
    if plan.references and not plan.errors:
        ledger = remaining.ledger
        dependencies = Dependencies(plan.references, ledger, manifest.job.output_dir)
        remaining.count_dependent(DependentWorklist(manifest, ledger, selection, dependencies))


def _done(remaining: Remaining | None) -> dict[str, Json]:
    """Return the JSON fields that are null before the first run."""
    if remaining is None:
        return {"done": None, "left": None}
    left = remaining.left.total()
    return {"done": remaining.tasks - left, "left": left}
