"""The options of `batchgen run` and `batchgen plan`."""

import argparse
from pathlib import Path

from batchgen.cli import argument_types


def add_manifest_options(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    """Add the manifest and the options that `run` and `plan` share.

    optional: the manifest may be left out.
    """
    parser.add_argument(
        "manifest",
        nargs="?" if optional else None,
        metavar="MANIFEST",
        help="a YAML job, or a CSV, TSV, JSONL or TXT file; - for standard input",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=Path,
        metavar="DIR",
        help="set the output directory (default out/NAME); {date} becomes today's date",
    )
    parser.add_argument(
        "--format",
        choices=("yaml", "csv", "tsv", "jsonl", "txt"),
        help="set the manifest's format if the file name does not show it",
    )
    _add_request(parser.add_argument_group("requests"))
    limits = parser.add_argument_group("limits")
    _add_rate_limits(limits)
    _add_run_limits(limits)
    _add_selection(parser.add_argument_group("selection"))


def _add_request(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--provider",
        metavar="NAME",
        help="use aimlapi (default), openai, simulator, or a provider that the job defines",
    )
    group.add_argument(
        "--base-url", metavar="URL", help="send requests to this OpenAI-compatible service"
    )
    group.add_argument(
        "--api-key-env", metavar="VAR", help="read the API key from this environment variable"
    )
    group.add_argument(
        "--env-file", type=Path, metavar="FILE", help="read environment variables from FILE"
    )
    group.add_argument("--model", metavar="ID", help="use this model for every row")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=argument_types.assignment,
        metavar="KEY=VALUE",
        help="set a request parameter for every row; repeatable",
    )
    group.add_argument(
        "--allow-files",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="allow input files from DIR, in addition to the manifest's folder; repeatable",
    )
    group.add_argument(
        "--no-check",
        action="store_true",
        help="send parameters without checking them against the model",
    )


def _add_rate_limits(group: "argparse._ArgumentGroup") -> None:
    """Add the limits on requests: how many at once, how often, how long."""
    group.add_argument(
        "--concurrency",
        type=argument_types.concurrency,
        metavar="N",
        help="keep at most N requests in flight (default 16)",
    )
    group.add_argument(
        "--rpm",
        type=argument_types.positive_number,
        metavar="N",
        help="send at most N requests per minute to each model",
    )
    group.add_argument(
        "--attempts",
        type=argument_types.whole_number,
        metavar="N",
        help="try each task at most N times in a run (default 6)",
    )
    group.add_argument(
        "--timeout",
        type=argument_types.duration,
        metavar="SECONDS",
        help="give up on a request after this time (default 600)",
    )


def _add_run_limits(group: "argparse._ArgumentGroup") -> None:
    """Add the limits on the cost, the requests and the time of a whole run."""
    group.add_argument(
        "--max-cost",
        type=argument_types.positive_number,
        metavar="USD",
        help="halt before the whole job costs more than this",
    )
    group.add_argument(
        "--require-price", action="store_true", help="refuse tasks whose price is unknown"
    )
    group.add_argument(
        "--live-prices", action="store_true", help="ask the provider for its prices first"
    )
    group.add_argument(
        "--max-requests",
        type=argument_types.whole_number,
        metavar="N",
        help="send at most N requests in this run",
    )
    group.add_argument(
        "--deadline",
        type=argument_types.duration,
        metavar="DURATION",
        help="start no more tasks after this time",
    )
    group.add_argument(
        "--drain-timeout",
        type=argument_types.duration,
        metavar="DURATION",
        help="after a signal, wait this long for requests in flight (default: until they end)",
    )


def _add_selection(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--limit",
        type=argument_types.whole_number,
        metavar="N",
        help="select only the first N tasks",
    )
    group.add_argument("--only", metavar="GLOB", help="select only tasks whose id matches GLOB")
    group.add_argument(
        "--shard", metavar="I/N", help="divide the tasks into N parts and select only part I"
    )
    group.add_argument(
        "--max-tasks",
        type=argument_types.whole_number,
        metavar="N",
        help="refuse a manifest with more than N tasks (default 1000000)",
    )


def add_run_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that only `run` has."""
    _add_retries(parser.add_argument_group("retries"))
    _add_checks(parser.add_argument_group("before the run"))
    _add_output(parser.add_argument_group("output"))
    _add_notifications(parser.add_argument_group("after the run"))


def _add_retries(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--retry-failed",
        nargs="?",
        const="*",
        metavar="KIND",
        help="retry failed tasks: all, or one error kind that the summary lists",
    )
    group.add_argument(
        "--on-unknown",
        choices=("resend", "hold", "fail"),
        default="resend",
        help="if a request was sent and its outcome is unknown, in this run or an earlier one:"
        " send it again with the same key (resend, the default), leave it (hold) or count it as"
        " failed (fail)",
    )


def _add_checks(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--dry-run", action="store_true", help="do the same as `batchgen plan`")
    group.add_argument(
        "--preflight", action="store_true", help="check the API key and the balance first"
    )


def _add_output(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="set the format of messages; json writes one event per line",
    )
    group.add_argument(
        "--log-file", type=Path, metavar="FILE", help="also append messages and errors to FILE"
    )
    group.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE",
        help="write Prometheus metrics to FILE every 10 s and at the end (needs prometheus-client)",
    )
    group.add_argument("--quiet", action="store_true", help="print nothing on success")
    group.add_argument(
        "--no-progress", action="store_true", help="print no progress bar and no status lines"
    )
    group.add_argument(
        "--progress-interval",
        type=argument_types.duration,
        default=30.0,
        metavar="DURATION",
        help="without a terminal, print a status line at this interval (default 30s)",
    )


def _add_notifications(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--report", action="store_true", help="write DIR/report.html")
    group.add_argument(
        "--notify",
        metavar="COMMAND",
        help="run this shell command, with summary.json on its standard input",
    )
    group.add_argument("--webhook", metavar="URL", help="POST summary.json to URL")
