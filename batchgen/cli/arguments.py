"""From parsed arguments to the values that a manifest is read and run with."""

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
from batchgen.manifest.formats.source import Source, spool
from batchgen.manifest.open import Manifest, source_of
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.connection import ensure_not_lost
from batchgen.storage.results import FILE_NAME


@contextmanager
def open_source(arguments: argparse.Namespace) -> Iterator[Source]:
    """The manifest; what can be read only once is kept in a file, since it is read more often."""
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
        spool(stream, path)
        yield replace(source, path=path)


def flags_of(arguments: argparse.Namespace) -> Flags:
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
    return Selection(
        limit=arguments.limit,
        only=arguments.only,
        shard=parse_shard(arguments.shard) if arguments.shard else None,
        retry_failed=getattr(arguments, "retry_failed", None),
        on_unknown=OnUnknown(getattr(arguments, "on_unknown", "resend")),
    )


@contextmanager
def open_ledger(directory: Path) -> Iterator[Ledger]:
    """The ledger of an output directory; raises UsageError, or StorageError where it is lost."""
    check_ledger(directory)
    with Ledger(ledger_path(directory)) as ledger:
        yield ledger


def check_ledger(directory: Path) -> None:
    """Raise UsageError for what is no output directory, StorageError for one without a ledger."""
    check_directory(directory)
    ensure_not_lost(ledger_path(directory))


def check_directory(directory: Path) -> None:
    """Raise UsageError for what is no output directory: nothing is made in one by mistake."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not there, or is no directory")
    results = directory / FILE_NAME
    if not (ledger_path(directory).is_file() or (results.is_file() and results.stat().st_size)):
        raise UsageError(f"{directory} is not an output directory of batchgen: it has no ledger")


def quoted(manifest: Manifest, access: Access, tell: Callable[[str], None]) -> Manifest:
    """The manifest with what the provider charges; without an answer, as it was, and told."""
    job = manifest.job
    if job.provider.name == SIMULATOR:
        tell("--live-prices: the simulator's prices are those of the catalogue")
        return manifest
    # aiohttp takes a quarter of a second to import: only what asks pays for it
    from batchgen.provider.account import Unavailable, live_quotes, service_of  # noqa: PLC0415

    quotes = live_quotes(service_of(job.provider, access, job.limits))
    if isinstance(quotes, Unavailable):
        tell(f"--live-prices: {job.provider.name} does not say ({quotes.reason})")
        return manifest
    tell(f"--live-prices: {job.provider.name} tells the prices of {len(quotes)} models")
    return replace(manifest, job=replace(job, quotes=quotes))
