"""`batchgen verify`: compare the ledger with the files, and repair damage in either."""

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from batchgen.cli.arguments import check_directory, check_ledger
from batchgen.engine.clock import SystemClock
from batchgen.errors import Exit, StorageError, UsageError
from batchgen.storage.comparison import find_surplus
from batchgen.storage.directory import is_locked, ledger_path, locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.inventory import Inventory
from batchgen.storage.rebuild import RebuildResult, rebuild
from batchgen.storage.results import ResultsFile, write_in_manifest_order
from batchgen.storage.verify import Finding, FindingKind, Verification
from batchgen.text import show_bytes, show_count

_PHRASES = {
    FindingKind.MISSING: "missing",
    FindingKind.EXTRA: "extra (not in the ledger)",
    FindingKind.SIZE: "with a wrong size",
    FindingKind.HASH: "with a wrong hash",
}


def verify_command(arguments: argparse.Namespace) -> int:
    """Print findings; return SOME_FAILED if there are any."""
    directory: Path = arguments.directory
    rebuilt = None
    with ExitStack() as stack:
        check_directory(directory)
        if arguments.fix or arguments.rebuild:
            stack.enter_context(locked(directory))
        elif is_locked(directory):
            _note("a run is using this directory: its newest files may be listed as extra")
        if arguments.rebuild:
            rebuilt = _rebuild(directory)
        check_ledger(directory)
        surplus = None if arguments.rebuild else find_surplus(directory)
        if arguments.fix and surplus is not None:
            raise surplus.error(directory)  # else results.jsonl would be overwritten
        inventory = stack.enter_context(Inventory(ledger_path(directory)))
        fix = bool(arguments.fix or arguments.rebuild)
        check = Verification(directory, inventory, fix=fix)
        if arguments.json:
            _print_json(check, rebuilt)
        else:
            _print_lines(check.findings())
        if fix:
            _rewrite_results(directory)
    _conclude(check, directory)
    if surplus is not None:
        raise surplus.error(directory)
    ok = not check.counts.total() and not (rebuilt and rebuilt.skipped)
    return Exit.OK if ok else Exit.SOME_FAILED


def _rebuild(directory: Path) -> RebuildResult:
    path = ledger_path(directory)
    is_sound = path.is_file() and _is_readable(path)
    if is_sound and find_surplus(directory) is None:
        raise UsageError(
            f"{path} is not damaged and holds all that results.jsonl has;"
            " move it away first to rebuild it anyway"
        )
    rebuilt = rebuild(directory, now=SystemClock().now(), keep=is_sound)
    for problem in rebuilt.problems:
        _note(str(problem))
    if rebuilt.skipped > len(rebuilt.problems):
        _note(f"and {show_count(rebuilt.skipped - len(rebuilt.problems))} more")
    if rebuilt.added is not None:
        _note(
            f"results.jsonl knew more than the ledger: {show_count(rebuilt.added)} results are"
            f" added to the ledger, which has {show_count(rebuilt.tasks)} tasks now"
        )
    else:
        _report_lost(rebuilt)
    if rebuilt.aside is not None:
        _note(f"the old ledger is kept as {rebuilt.aside}")
    return rebuilt


def _report_lost(rebuilt: RebuildResult) -> None:
    _note(f"the ledger is rebuilt: {show_count(rebuilt.tasks)} tasks from results.jsonl")
    keys = "the same" if rebuilt.identity else "new"
    _note(
        "requests in flight and earlier versions of files are not in results.jsonl; the next run"
        f" sends unfinished tasks with {keys} idempotency keys"
    )


def _is_readable(path: Path) -> bool:
    try:
        with Inventory(path):
            return True
    except StorageError:
        return False


def _print_lines(findings: Iterable[Finding]) -> None:
    for finding in findings:
        sys.stdout.write(f"{_printable(str(finding))}\n")


def _print_json(check: Verification, rebuilt: RebuildResult | None) -> None:
    """Print one JSON object in parts, because there may be a million findings."""
    sys.stdout.write('{"findings":[')
    for number, finding in enumerate(check.findings()):
        fields = finding.to_json() | {"path": _printable(finding.path)}
        sys.stdout.write(("," if number else "") + msgspec.json.encode(fields).decode())
    rest = {
        "counts": {str(kind): check.counts[kind] for kind in FindingKind},
        "artifacts": check.artifacts,
        "bytes": check.size_bytes,
        "mended": check.repaired,
        "rebuilt": rebuilt.tasks if rebuilt else None,
        "skipped": rebuilt.skipped if rebuilt else None,
    }
    sys.stdout.write("]," + msgspec.json.encode(rest).decode()[1:] + "\n")


def _rewrite_results(directory: Path) -> None:
    with Ledger(ledger_path(directory)) as ledger:
        write_in_manifest_order(ResultsFile(directory), ledger, unchanged=False)


def _conclude(check: Verification, directory: Path) -> None:
    checked = f"{show_count(check.artifacts)} artifacts, {show_bytes(check.size_bytes)}"
    if not check.counts.total():
        _note(f"{checked}: no problems found")
        return
    counts = ", ".join(
        f"{show_count(check.counts[kind])} {_PHRASES[kind]}"
        for kind in FindingKind
        if check.counts[kind]
    )
    _note(f"{checked}: {counts}")
    if check.repaired:
        _note(
            f"tasks that the next run generates again: {show_count(check.repaired)}, with the same"
            " idempotency keys; damaged files are kept as NAME.damaged"
        )
    elif any(check.counts[kind] for kind in FindingKind if kind is not FindingKind.EXTRA):
        _note(f"`batchgen verify {directory} --fix` lets the next run generate them again")


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _printable(text: str) -> str:
    """Escape invalid UTF-8 and control characters, so that each finding stays on one line."""
    escaped = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
