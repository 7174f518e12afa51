"""Values that several commands make from their arguments: source, flags, selection, ledger."""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from batchgen.engine.worklist.selection import OnUnknown, Selection, parse_shard
from batchgen.errors import UsageError
from batchgen.job import SIMULATOR, Access, Flags
from batchgen.manifest.formats.source import Source, copy_to_file
from batchgen.manifest.open import Manifest, source_of
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.connection import ensure_not_lost
from batchgen.storage.results import FILE_NAME


@contextmanager
def open_source(arguments: argparse.Namespace) -> Iterator[Source]:
    """Open the manifest that the arguments name.

    Standard input and pipes are copied to a temporary file, because a manifest is read twice.
    """
    source = source_of(arguments.manifest, arguments.format, Path())
    with ExitStack() as stack:
        if arguments.manifest == "-":
            stream: BinaryIO = sys.stdin.buffer
        elif source.path.is_fifo():  # such as the shell's <(...)
            stream = stack.enter_context(source.path.open("rb"))
        else:
            yield source
            return
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="batchgen-"))
        path = Path(folder) / "stdin"
        copy_to_file(stream, path)
        yield replace(source, path=path)


def flags_of(arguments: argparse.Namespace) -> Flags:
    """Return the options that override the job file."""
    return Flags(
        output=arguments.output,
        provider=arguments.provider,
        base_url=arguments.base_url,
        api_key_env=arguments.api_key_env,
        model=arguments.model,
        parameters=dict(arguments.set),
        check=not arguments.no_check,
        concurrency=arguments.concurrency,
        rpm=arguments.rpm,
        attempts=arguments.attempts,
        timeout_s=arguments.timeout,
        max_cost_usd=arguments.max_cost,
        max_requests=arguments.max_requests,
        deadline_s=arguments.deadline,
        drain_timeout_s=arguments.drain_timeout,
        max_tasks=arguments.max_tasks,
        allow_files=tuple(arguments.allow_files),
        require_price=arguments.require_price,
        today=datetime.now().astimezone().date(),
    )


def selection_of(arguments: argparse.Namespace) -> Selection:
    """Return which tasks to work on. Raise UsageError if `--shard` is not I/N."""
    return Selection(
        limit=arguments.limit,
        only=arguments.only,
        shard=parse_shard(arguments.shard) if arguments.shard else None,
        retry_failed=getattr(arguments, "retry_failed", None),
        on_unknown=OnUnknown(getattr(arguments, "on_unknown", "resend")),
    )


@contextmanager
def open_ledger(directory: Path) -> Iterator[Ledger]:
    """Open the ledger of an output directory. Raise the errors of `check_ledger`."""
    check_ledger(directory)
    with Ledger(ledger_path(directory)) as ledger:
        yield ledger


def check_ledger(directory: Path) -> None:
    """Raise UsageError if this is not an output directory, StorageError if its ledger is lost."""
    check_directory(directory)
    ensure_not_lost(ledger_path(directory))


def check_directory(directory: Path) -> None:
    """Raise UsageError if this is not an output directory."""
    if not directory.is_dir():
        raise UsageError(f"{directory} does not exist or is not a directory")
    results = directory / FILE_NAME
    if not (ledger_path(directory).is_file() or (results.is_file() and results.stat().st_size)):
        raise UsageError(f"{directory} is not an output directory of batchgen: it has no ledger")


def with_live_prices(manifest: Manifest, access: Access, log: Callable[[str], None]) -> Manifest:
    """Return the manifest with the provider's current prices, unchanged if it does not answer.

    log: called with one line about the result.
    """
    job = manifest.job
    if job.provider.name == SIMULATOR:
        log("--live-prices: the simulator has the prices of the catalogue")
        return manifest
    from batchgen.provider.account import Unavailable, live_quotes, service_of  # noqa: PLC0415  # aiohttp takes 0.25 s to import

    quotes = live_quotes(service_of(job.provider, access, job.limits))
    if isinstance(quotes, Unavailable):
        log(f"--live-prices: no prices from {job.provider.name} ({quotes.reason})")
        return manifest
    log(f"--live-prices: {job.provider.name} has prices for {len(quotes)} models")
    return replace(manifest, job=replace(job, quotes=quotes))
