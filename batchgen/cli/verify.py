"""`batchgen verify`: the ledger against the files, and what mends them."""

import argparse
import sys
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path

import msgspec

from batchgen.cli.arguments import check_directory, check_ledger
from batchgen.engine.clock import SystemClock
from batchgen.errors import Exit, StorageError, UsageError
from batchgen.storage.directory import is_locked, ledger_path, locked
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.inventory import Inventory
from batchgen.storage.rebuild import RebuildResult, rebuild
from batchgen.storage.results import ResultsFile, encode_rows
from batchgen.storage.verify import Finding, FindingKind, Verification
from batchgen.text import show_bytes, show_count


def verify_command(arguments: argparse.Namespace) -> int:
    """`batchgen verify`."""
    directory: Path = arguments.directory
    rebuilt = None
    with ExitStack() as stack:
        check_directory(directory)
        if arguments.fix or arguments.rebuild:
            stack.enter_context(locked(directory))
        elif is_locked(directory):
            _note("a run holds the directory: what it is about to commit may be told as extra")
        if arguments.rebuild:
            rebuilt = _rebuild(directory)
        check_ledger(directory)
        inventory = stack.enter_context(Inventory(ledger_path(directory)))
        fix = bool(arguments.fix or arguments.rebuild)
        check = Verification(directory, inventory, fix=fix)
        if arguments.json:
            _tell_json(check, rebuilt)
        else:
            _tell_lines(check.findings())
        if fix:
            _rewrite_results(directory)
    _conclude(check, directory)
    well = not check.counts.total() and not (rebuilt and rebuilt.skipped)
    return Exit.OK if well else Exit.SOME_FAILED


def _rebuild(directory: Path) -> RebuildResult:
    path = ledger_path(directory)
    if path.is_file() and _is_sound(path):
        raise UsageError(
            f"{path} is sound, and results.jsonl tells less than it: to make it anew all the same,"
            " move it away first"
        )
    rebuilt = rebuild(directory, now=SystemClock().now())
    for problem in rebuilt.problems:
        _note(str(problem))
    if rebuilt.skipped > len(rebuilt.problems):
        _note(f"and {show_count(rebuilt.skipped - len(rebuilt.problems))} more")
    _note(f"the ledger is made anew with {show_count(rebuilt.tasks)} tasks of results.jsonl")
    keys = "the same idempotency keys" if rebuilt.identity else "new keys: the old ones are lost"
    _note(
        "what was under way is not known any more, nor are files of earlier versions: unfinished"
        f" tasks are sent by the next run, with {keys}"
    )
    if rebuilt.aside is not None:
        _note(f"the old ledger is kept as {rebuilt.aside}")
    return rebuilt


def _is_sound(path: Path) -> bool:
    try:
        with Inventory(path):
            return True
    except StorageError:
        return False


def _tell_lines(findings: Iterable[Finding]) -> None:
    for finding in findings:
        sys.stdout.write(f"{_printable(str(finding))}\n")


def _tell_json(check: Verification, rebuilt: RebuildResult | None) -> None:
    """One object, written while the findings come: there may be a million of them."""
    sys.stdout.write('{"findings":[')
    for number, finding in enumerate(check.findings()):
        told = finding.to_json() | {"path": _printable(finding.path)}
        sys.stdout.write(("," if number else "") + msgspec.json.encode(told).decode())
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
        ResultsFile(directory).rewrite(map(encode_rows, ledger.result_rows()))


def _conclude(check: Verification, directory: Path) -> None:
    whole = f"{show_count(check.artifacts)} artifacts, {show_bytes(check.size_bytes)}"
    if not check.counts.total():
        _note(f"{whole}: all is well")
        return
    told = ", ".join(
        f"{show_count(check.counts[kind])} {kind}" for kind in FindingKind if check.counts[kind]
    )
    _note(f"{whole}: {told}")
    if check.repaired:
        _note(
            f"tasks that the next run makes again, with the same idempotency keys:"
            f" {show_count(check.repaired)}; what was left of their files is kept as NAME.damaged"
        )
    elif any(check.counts[kind] for kind in FindingKind if kind is not FindingKind.EXTRA):
        _note(f"`batchgen verify {directory} --fix` has the next run make them again")


def _note(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def _printable(text: str) -> str:
    """Names that are no UTF-8, and control characters, as escapes: a line a finding."""
    escaped = text.encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)
