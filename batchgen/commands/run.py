"""`batchgen run`, from parsed arguments to an exit code."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from batchgen.commands.arguments import flags_of, open_source, selection_of
from batchgen.commands.plan import plan_command
from batchgen.commands.quoting import quoted
from batchgen.commands.report import make_report
from batchgen.errors import BatchgenError, UsageError
from batchgen.job import access_of
from batchgen.plan import check, open_manifest
from batchgen.progress import make_progress
from batchgen.session import Session


def run_command(arguments: argparse.Namespace) -> int:
    """`batchgen run`."""
    if arguments.dry_run:
        return plan_command(arguments)
    environment = _environment(arguments.env_file)
    with open_source(arguments) as source:
        manifest = open_manifest(source, flags_of(arguments))
        if manifest.problems:
            check(manifest, select=iter).raise_errors()
        access = access_of(manifest.job.provider, environment)
        progress = make_progress(
            stream=sys.stderr,
            terminal=sys.stderr.isatty(),
            log_format=arguments.log_format,
            log_file=arguments.log_file,
            quiet=arguments.quiet,
            bar=not arguments.no_progress,
            interval_s=arguments.progress_interval,
            clock=time.monotonic,
        )
        try:
            if arguments.live_prices:
                manifest = quoted(manifest, access, progress.say)
            summary = Session(
                manifest,
                selection_of(arguments),
                progress,
                _again(arguments),
                access,
                reread=lambda: open_manifest(source, flags_of(arguments)),
                preflight=arguments.preflight,
            ).run()
        finally:
            progress.close()
    if not arguments.quiet and arguments.log_format == "text":
        sys.stderr.write(summary.to_text(shutil.get_terminal_size().columns))
    if arguments.report:
        _report(manifest.job.output_dir, quiet=arguments.quiet or arguments.log_format == "json")
    return summary.exit_code


def _report(directory: Path, *, quiet: bool) -> None:
    """Make the report; the run has ended as it has, whatever becomes of it."""
    try:
        told = make_report(directory)
    except BatchgenError as error:
        told, quiet = f"no report: {error}", False
    if not quiet:
        sys.stderr.write(f"  {'report':<10} {told}\n")


def _again(arguments: argparse.Namespace) -> tuple[str, ...]:
    """The words that run the job again: what was typed, less what is meant for one run only."""
    words = ["batchgen", "run", arguments.manifest]
    for flag, value in (
        ("--format", arguments.format),
        ("-o", arguments.output),
        ("--provider", arguments.provider),
        ("--base-url", arguments.base_url),
        ("--api-key-env", arguments.api_key_env),
        ("--env-file", arguments.env_file),
        ("--model", arguments.model),
        ("--shard", arguments.shard),
    ):
        if value is not None:
            words += [flag, str(value)]
    for key, value in arguments.set:
        words += ["--set", f"{key}={value}"]
    return tuple(words)


def _environment(env_file: Path | None) -> Mapping[str, str]:
    if env_file is None:
        return os.environ
    from dotenv import dotenv_values  # noqa: PLC0415  # only for those who ask

    if not env_file.is_file():
        raise UsageError(f"--env-file {env_file}: there is no such file")
    values = dotenv_values(env_file)
    return {**os.environ, **{name: value for name, value in values.items() if value is not None}}
