"""`batchgen plan`: everything that `run` checks and computes, without the network."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from batchgen.commands.arguments import flags_of, open_source, selection_of
from batchgen.commands.planned import plan_lines
from batchgen.commands.quoting import quoted
from batchgen.engine.provenance import other_manifest
from batchgen.engine.worklist.dependencies import Sources
from batchgen.engine.worklist.dependent import Feeding
from batchgen.engine.worklist.remaining import Standing
from batchgen.engine.worklist.selection import Selection
from batchgen.errors import Exit
from batchgen.job import Access
from batchgen.manifest.open import Manifest, open_manifest
from batchgen.manifest.plan import Plan, check
from batchgen.provider.pricing import Prices
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.types import Json


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
                plan.note(other, first=True)
            if standing is not None and plan.references and not plan.errors:
                sources = Sources(plan.references, standing.ledger, manifest.job.output_dir)
                standing.go_through(Feeding(manifest, standing.ledger, selection, sources))
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


def _check(manifest: Manifest, selection: Selection, standing: Standing | None) -> Plan:
    watch = iter if standing is None else standing.watch
    return check(
        manifest,
        select=lambda items: watch(selection.narrow(items, to_the_end=True)),
        identify=standing is not None or selection.shard is not None,
    )


@contextmanager
def _standing(manifest: Manifest, selection: Selection) -> Iterator[Standing | None]:
    """What the output directory has already; None where no run has been yet, or none can be."""
    path = ledger_path(manifest.job.output_dir)
    if manifest.problems or not path.is_file():
        yield None
        return
    with Ledger(path) as ledger:
        yield Standing(ledger, selection, Prices(manifest.job))


def _done(standing: Standing | None) -> dict[str, Json]:
    """Null where no run has been yet."""
    if standing is None:
        return {"done": None, "left": None}
    left = standing.left.total()
    return {"done": standing.tasks - left, "left": left}
