"""From parsed arguments to the values that a manifest is read and run with."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from msgspec.structs import replace

from batchgen.engine.worklist.selection import OnUnknown, Selection, parse_shard
from batchgen.job import Flags
from batchgen.manifest.formats.source import Source, spool
from batchgen.manifest.open import source_of


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
