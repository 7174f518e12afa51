"""`batchgen status`: the progress of a job, from its ledger."""

import argparse
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from batchgen.cli.arguments import open_ledger
from batchgen.cli.streams import raw
from batchgen.errors import Exit
from batchgen.storage.directory import is_locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import count_paid, public_status
from batchgen.text import show_bytes, show_count, show_duration, show_money, show_rate
from batchgen.types import Json, Status

_RATE_WINDOW_S = 60.0
_LABELS = {
    "pid": "process", "rate_per_s": "rate", "eta_s": "time left", "spend_usd": "spend",
    "reason": "last run", "found_unknown": "was unknown", "settled": "now known",
    "resent": "sent again", "pending_paid": "paid for", "unpriced": "no price",
}  # fmt: skip
_ENDINGS = {
    "signal": "interrupted", "halt": "halted", "budget": "halted: a cost limit was reached",
    "deadline": "halted: the deadline has passed", "storage": "halted: the disk failed",
    "manifest": "halted: the manifest was changed during the run",
}  # fmt: skip
_REMARKS = {
    "pending_paid": " of the pending tasks: the next run only fetches their results",
    "found_unknown": " when the last run started",
    "settled": ", from the provider's usage log",
    "resent": ", with the same idempotency key",
    "unpriced": " is known for these tasks",
}
_HIDDEN_IF_ZERO = frozenset(
    {"unpriced", "found_unknown", "settled", "resent", "skipped", "pending_paid"}
)
_CLEAR = "\x1b[H\x1b[2J"  # go to the first line and clear the screen


def status_command(arguments: argparse.Namespace) -> int:
    """Print counts, rate, time left and spend; with `--watch` until the run ends."""
    while True:
        status = _read(arguments.directory)
        _print(status, as_json=arguments.json, clear=arguments.watch and sys.stdout.isatty())
        if not (arguments.watch and status["running"]):
            return Exit.OK
        time.sleep(arguments.interval)


def _read(directory: Path) -> dict[str, Json]:
    with open_ledger(directory) as ledger:
        return _status(ledger, running=is_locked(directory))


def _print(status: Mapping[str, Json], *, as_json: bool, clear: bool) -> None:
    """Print a status; clear: replace the one that was printed before."""
    if as_json:
        lines = [msgspec.json.encode(status).decode()]
    else:
        lines = [
            f"{_LABELS.get(name, name):<12} {_format(name, value)}{_REMARKS.get(name, '')}"
            for name, value in status.items()
            if value is not None and (value or name not in _HIDDEN_IF_ZERO)
        ]
    raw(sys.stdout).write(_CLEAR if clear else "")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _format(name: str, value: Json) -> str:
    match value:
        case bool():
            return "yes" if value else "no"
        case int() if name != "pid":
            return show_bytes(value) if name == "bytes" else show_count(value)
        case float() if name == "rate_per_s":
            return show_rate(value) if value else "0"
        case float() if name == "eta_s":
            return show_duration(value)
        case float() if name == "spend_usd":
            return show_money(value)
        case _:
            return _ENDINGS.get(str(value), str(value)) if name == "reason" else str(value)


def _status(ledger: Ledger, *, running: bool) -> dict[str, Json]:
    totals, run = ledger.totals(), ledger.last_run()
    counts = dict.fromkeys(("succeeded", "failed", "refused", "unknown", "skipped"), 0)
    for status, count in totals.counts.items():
        word = public_status(status)
        if status is Status.SENT and running:  # in flight, not unknown
            word = Status.PENDING
        if word in counts:
            counts[word] += count
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
        "pending_paid": count_paid(totals.counts),
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
        "found_unknown": run.unknown if run else 0,
        "settled": run.settled if run else 0,
        "resent": run.resent if run else 0,
    }
