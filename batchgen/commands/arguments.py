"""From parsed arguments to the values that a manifest is read and run with."""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from batchgen.job import Flags
from batchgen.manifest.source import Source, spool
from batchgen.plan import source_of
from batchgen.worklist import OnUnknown, Selection, parse_shard


@contextmanager
def open_source(arguments: argparse.Namespace) -> Iterator[Source]:
    """The manifest; standard input is kept in a file, since a manifest is read more than once."""
    if arguments.manifest != "-":
        yield source_of(arguments.manifest, arguments.format, None)
        return
    with tempfile.TemporaryDirectory(prefix="batchgen-") as folder:
        path = Path(folder) / "stdin"
        source = source_of("-", arguments.format, path)
        spool(sys.stdin.buffer, path)
        yield source


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
