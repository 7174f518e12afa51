"""`batchgen run`: run a job, print its summary, write the report, send the notifications."""

import argparse
import os
import shutil
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from batchgen.cli.arguments import flags_of, open_source, selection_of, with_live_prices
from batchgen.cli.streams import raw
from batchgen.engine.process import infrequent_collection
from batchgen.engine.session import Session
from batchgen.errors import BatchgenError, Exit, UsageError, from_os_error
from batchgen.job import Access, access_of
from batchgen.manifest.open import open_manifest
from batchgen.manifest.plan import check
from batchgen.progress import Progress, make_progress
from batchgen.storage.summary import Summary

# A user who interrupts a run does not wait for a report.
_INTERRUPTED = (Exit.INTERRUPTED, Exit.TERMINATED)


def run_command(arguments: argparse.Namespace) -> int:
    """Run the job; return its exit code."""
    if arguments.dry_run:
        # Imported here, because imports like this one would delay the start of each run by a fifth.
        from batchgen.cli.plan import plan_command  # noqa: PLC0415  # as above

        return plan_command(arguments)
    with infrequent_collection(), _progress(arguments) as progress:
        summary, access = _run(arguments, progress)
    if arguments.log_format == "text":
        if not arguments.quiet:
            sys.stderr.write(summary.to_text(shutil.get_terminal_size().columns))
        elif summary.exit_code:
            sys.stderr.write(f"batchgen: {summary.to_line()}\n")
    if arguments.report and summary.exit_code not in _INTERRUPTED:
        _write_report(Path(summary.output), quiet=arguments.quiet or arguments.log_format == "json")
    _notify(arguments, summary, access)
    return summary.exit_code


@contextmanager
def _progress(arguments: argparse.Namespace) -> Iterator[Progress]:
    """Open the progress output of a run, which also reports the error that ends it."""
    progress = make_progress(
        stream=raw(sys.stderr),
        terminal=sys.stderr.isatty(),
        log_format=arguments.log_format,
        log_file=arguments.log_file,
        quiet=arguments.quiet,
        bar=not arguments.no_progress,
        interval_s=arguments.progress_interval,
        metrics_file=arguments.metrics_file,
        clock=time.monotonic,
    )
    try:
        yield progress
    except BatchgenError as error:
        progress.run_failed(error)
        raise
    except OSError as error:
        progress.run_failed(from_os_error(error))
        raise
    finally:
        progress.close()


def _run(arguments: argparse.Namespace, progress: Progress) -> tuple[Summary, Access]:
    selection = selection_of(arguments)
    environment = _environment(arguments.env_file)
    if arguments.webhook is not None:
        from batchgen.cli.notify import check_webhook  # noqa: PLC0415  # see run_command

        check_webhook(arguments.webhook)
    with open_source(arguments) as source:
        manifest = open_manifest(source, flags_of(arguments))
        if manifest.problems:
            check(manifest, identify=False).raise_errors()
        access = access_of(manifest.job.provider, environment)
        if arguments.live_prices:
            manifest = with_live_prices(manifest, access, progress.log)
        session = Session(
            manifest,
            selection,
            progress,
            _resume_words(arguments),
            access,
            reload_job=lambda: open_manifest(source, flags_of(arguments)),
            preflight=arguments.preflight,
        )
        return session.run(), access


def _notify(arguments: argparse.Namespace, summary: Summary, access: Access) -> None:
    """Run the command and call the webhook; print problems, but keep the exit code."""
    if not (arguments.notify or arguments.webhook):
        return
    from batchgen.cli.notify import (  # noqa: PLC0415  # see run_command
        call_webhook,
        environment_without_secrets,
        run_command,
    )

    body = msgspec.json.encode(summary.to_json())
    environment = {
        **environment_without_secrets(os.environ, access),
        "BATCHGEN_STATUS": str(summary.ending),
        "BATCHGEN_EXIT_CODE": str(int(summary.exit_code)),
        "BATCHGEN_OUTPUT": summary.output,
    }
    problems = (
        run_command(arguments.notify, body, environment) if arguments.notify else None,
        call_webhook(arguments.webhook, body) if arguments.webhook else None,
    )
    for problem in problems:
        if problem is not None:
            sys.stderr.write(f"batchgen: {problem}; the run's result is not affected\n")


def _write_report(directory: Path, *, quiet: bool) -> None:
    """Write the report; print a problem, but keep the exit code."""
    from batchgen.cli.report import write_report  # noqa: PLC0415  # see run_command

    try:
        message = write_report(directory)
    except BatchgenError as error:
        message, quiet = f"not written: {error}", False
    if not quiet:
        sys.stderr.write(f"  {'report':<10} {message}\n")


def _resume_words(arguments: argparse.Namespace) -> tuple[str, ...]:
    """Return the command that resumes the job: the typed words without `--retry-failed`."""
    words, kept = iter(arguments.words), ["batchgen"]
    for word in words:
        if word == "--retry-failed":
            following = next(words, None)
            if following is not None and following != arguments.retry_failed:
                kept.append(following)
        elif not word.startswith("--retry-failed="):
            kept.append(word)
    return tuple(kept)


def _environment(env_file: Path | None) -> Mapping[str, str]:
    if env_file is None:
        return os.environ
    from dotenv import dotenv_values  # noqa: PLC0415  # only --env-file needs it

    if not env_file.is_file():
        raise UsageError(f"--env-file {env_file}: the file does not exist")
    try:
        values = dotenv_values(env_file)
    except UnicodeDecodeError as error:
        raise UsageError(
            f"--env-file {env_file}: the file is not UTF-8; save it as UTF-8"
        ) from error
    return {**os.environ, **{name: value for name, value in values.items() if value is not None}}
