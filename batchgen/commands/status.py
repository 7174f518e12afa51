"""`batchgen status`: how a job stands, from its ledger."""

import argparse
import sys
from datetime import UTC, datetime, timedelta

import msgspec

from batchgen.commands.places import open_ledger
from batchgen.directory import is_held
from batchgen.errors import Exit
from batchgen.ledger import Ledger
from batchgen.results import shown_status
from batchgen.text import show_count
from batchgen.types import Json, Status

_RATE_WINDOW_S = 60.0


def status_command(arguments: argparse.Namespace) -> int:
    """`batchgen status`: counts, rate, ETA and spend from the ledger."""
    directory = arguments.directory
    with open_ledger(directory) as ledger:
        told = _status(ledger, running=is_held(directory))
    if arguments.json:
        sys.stdout.write(msgspec.json.encode(told).decode() + "\n")
        return Exit.OK
    for name, value in told.items():
        if value is not None:
            shown = show_count(value) if type(value) is int and name != "pid" else value
            sys.stdout.write(f"{name:<12} {shown}\n")
    return Exit.OK


def _status(ledger: Ledger, *, running: bool) -> dict[str, Json]:
    totals, run = ledger.totals(), ledger.last_run()
    counts = dict.fromkeys(("succeeded", "failed", "refused", "unknown"), 0)
    for status, count in totals.counts.items():
        shown = shown_status(status)
        if status is Status.SENT and running:  # under way, not yet unknown
            shown = Status.PENDING
        if shown in counts:
            counts[shown] += count
    total = run.total if run else 0
    pending = max(0, total - sum(counts.values()))
    now = datetime.now(UTC)
    window_s = _RATE_WINDOW_S
    if run is not None:
        window_s = min(window_s, max(1.0, (now - run.started_at).total_seconds()))
    recent = ledger.finished_since(now - timedelta(seconds=window_s)) if running else 0
    rate = recent / window_s
    return {
        "total": total,
        **counts,
        "pending": pending,
        "running": running,
        "pid": run.pid if run and running else None,
        "reason": run.reason if run else None,
        "rate_per_s": round(rate, 3),
        "eta_s": round(pending / rate, 1) if rate else None,
        "spend_usd": round(ledger.spent_usd(), 6),
        "unpriced": totals.unpriced,
        "artifacts": totals.artifacts,
        "bytes": totals.size_bytes,
        "requests": totals.attempts,
    }
