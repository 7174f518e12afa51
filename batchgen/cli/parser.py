"""The command line: parses, builds, calls, and maps errors to exit codes; no logic."""

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen._version import __version__
from batchgen.cli import argument_types
from batchgen.cli.argument_parser import Parser
from batchgen.cli.examples import examples_of
from batchgen.simulator.fault_names import fault_lines

if TYPE_CHECKING:
    from collections.abc import Callable


def parser() -> argparse.ArgumentParser:
    """The command's words: sub-commands, options and their help."""
    whole = Parser(
        prog="batchgen",
        description="A manifest of prompts in; generated assets and a results manifest out.",
        epilog=examples_of(""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    whole.add_argument("--version", action="version", version=f"batchgen {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
    _add_run(commands)
    _add_plan(commands)
    _add_status(commands)
    _add_results(commands)
    _add_report(commands)
    _add_show(commands)
    _add_verify(commands)
    _add_merge(commands)
    _add_models(commands)
    _add_simulate(commands)
    _add_init(commands)
    _command(commands, "schema", "write the JSON Schema of the job file, for editors")
    _add_completion(commands, whole)
    return whole


_Commands = "argparse._SubParsersAction[Parser]"


def _command(commands: _Commands, name: str, summary: str) -> Parser:  # type: ignore[valid-type]  # argparse keeps the type of its sub-parsers private
    parser: Parser = commands.add_parser(  # type: ignore[attr-defined]  # as above
        name,
        help=summary,
        description=summary[0].upper() + summary[1:] + ".",
        epilog=examples_of(name),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.set_defaults(call=_Late(name))
    return parser


class _Late:
    """A command's function; what it needs is imported only when it is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, arguments: argparse.Namespace) -> int:
        module = import_module(f"batchgen.cli.{self._name}")
        call: Callable[[argparse.Namespace], int] = getattr(module, f"{self._name}_command")
        return call(arguments)


def _add_run(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "run", "generate what a manifest asks for and is not there yet")
    _add_manifest(parser)
    group = parser.add_argument_group("which tasks")
    group.add_argument(
        "--retry-failed",
        nargs="?",
        const="*",
        metavar="KIND",
        help="take failed tasks up again: all, or those of a kind (see the summary)",
    )
    group.add_argument(
        "--on-unknown",
        choices=("resend", "hold", "fail"),
        default="resend",
        help="tasks whose outcome nobody knows: send again with the same key, leave, give up",
    )
    group.add_argument(
        "--preflight", action="store_true", help="ask for the key's state and the balance first"
    )
    group = parser.add_argument_group("what is told")
    group.add_argument("--dry-run", action="store_true", help="the same as `batchgen plan`")
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="of messages on standard error and in --log-file; json: an event a line",
    )
    group.add_argument(
        "--log-file", type=Path, metavar="FILE", help="append messages and errors to a file"
    )
    group.add_argument(
        "--metrics-file",
        type=Path,
        metavar="FILE",
        help="Prometheus text, replaced every 10 s and at the end (extra `metrics`)",
    )
    group.add_argument(
        "--notify",
        metavar="COMMAND",
        help="shell command for the run's end, with summary.json on its standard input",
    )
    group.add_argument(
        "--webhook", metavar="URL", help="where summary.json is posted to when the run has ended"
    )
    group.add_argument(
        "--report", action="store_true", help="make DIR/report.html when the run has ended"
    )
    group.add_argument("--quiet", action="store_true", help="tell nothing if all goes well")
    group.add_argument("--no-progress", action="store_true", help="no bar, no status lines")
    group.add_argument(
        "--progress-interval",
        type=argument_types.duration,
        default=30.0,
        metavar="DURATION",
        help="between status lines where there is no terminal (default 30s)",
    )
    parser.set_defaults(json=False)


def _add_plan(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "plan", "check a manifest and price it; nothing is sent")
    _add_manifest(parser)
    parser.add_argument("--json", action="store_true", help="everything as one JSON object")


def _add_manifest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "manifest", metavar="MANIFEST", help="a YAML job, or CSV, TSV, JSONL, TXT; - for stdin"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="output directory; {date} is today's"
    )
    parser.add_argument(
        "--format",
        choices=("yaml", "csv", "tsv", "jsonl", "txt"),
        help="of a manifest whose name does not tell",
    )
    _add_request(parser.add_argument_group("what is sent, and where to"))
    _add_limits(parser.add_argument_group("limits"))
    group = parser.add_argument_group("selection")
    group.add_argument(
        "--limit", type=argument_types.whole_number, metavar="N", help="the first N tasks"
    )
    group.add_argument("--only", metavar="GLOB", help="tasks whose id matches")
    group.add_argument("--shard", metavar="I/N", help="the I-th of N parts of the manifest")
    group.add_argument(
        "--max-tasks",
        type=argument_types.whole_number,
        metavar="N",
        help="refuse larger manifests (default 1000000)",
    )


def _add_request(group: "argparse._ArgumentGroup") -> None:
    group.add_argument("--provider", metavar="NAME", help="aimlapi, openai, simulator or your own")
    group.add_argument("--base-url", metavar="URL", help="of an OpenAI-compatible service")
    group.add_argument("--api-key-env", metavar="VAR", help="environment variable with the key")
    group.add_argument("--env-file", type=Path, metavar="FILE", help="read variables from FILE")
    group.add_argument("--model", metavar="ID", help="for every row")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        type=argument_types.assignment,
        metavar="KEY=VALUE",
        help="any request parameter, for every row; repeatable",
    )
    group.add_argument(
        "--allow-files",
        action="append",
        default=[],
        type=Path,
        metavar="DIR",
        help="send input files from below DIR too, besides the manifest's folder; repeatable",
    )
    group.add_argument("--no-check", action="store_true", help="send without the models' checks")


def _add_limits(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--concurrency",
        type=argument_types.workers,
        metavar="N",
        help="requests in flight at most (default 16)",
    )
    group.add_argument(
        "--rpm",
        type=argument_types.positive_number,
        metavar="N",
        help="requests a minute, each model",
    )
    group.add_argument(
        "--attempts",
        type=argument_types.whole_number,
        metavar="N",
        help="for each task in a run (default 6)",
    )
    group.add_argument(
        "--timeout",
        type=argument_types.duration,
        metavar="SECONDS",
        help="for each request (default 600)",
    )
    group.add_argument(
        "--max-cost", type=argument_types.positive_number, metavar="USD", help="for the whole job"
    )
    group.add_argument(
        "--require-price", action="store_true", help="refuse tasks whose price nobody knows"
    )
    group.add_argument(
        "--live-prices", action="store_true", help="ask the provider for its prices first"
    )
    group.add_argument(
        "--max-requests", type=argument_types.whole_number, metavar="N", help="for this run"
    )
    group.add_argument(
        "--deadline", type=argument_types.duration, metavar="DURATION", help="start nothing after"
    )
    group.add_argument(
        "--drain-timeout",
        type=argument_types.duration,
        metavar="DURATION",
        help="after a signal, how long what was sent is waited for (default: as long as it takes)",
    )


def _add_status(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "status", "show how a job stands, while it runs and after")
    parser.add_argument("directory", type=Path, metavar="DIR", help="output directory of a job")
    parser.add_argument("--json", action="store_true", help="one JSON object")
    parser.add_argument(
        "--watch", action="store_true", help="again every --interval until the run has ended"
    )
    parser.add_argument(
        "--interval",
        type=argument_types.duration,
        default=2.0,
        metavar="DURATION",
        help="default 2s",
    )


def _add_results(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "results", "write the results manifest in manifest order")
    parser.add_argument("directory", type=Path, metavar="DIR", help="output directory of a job")
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv", "parquet", "yaml", "openai-batch"),
        default="jsonl",
        help="yaml: a manifest of these rows, to edit and to run",
    )
    parser.add_argument(
        "--status",
        type=argument_types.statuses,
        metavar="STATUS",
        help="only succeeded, failed, refused, unknown, skipped or pending; several with commas",
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="instead of stdout")
    parser.add_argument(
        "--all", action="store_true", help="also tasks that the manifest no longer has"
    )


def _add_report(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "report", "make one offline HTML page of a job's results")
    parser.add_argument("directory", type=Path, metavar="DIR", help="output directory of a job")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="instead of DIR/report.html"
    )
    parser.add_argument(
        "--contact-sheet", type=Path, metavar="FILE", help="a PNG of all pictures, small"
    )


def _add_show(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "show", "tell how a picture was made")
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="the output directory it came from"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_verify(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "verify", "hold the ledger against the files, both ways")
    parser.add_argument("directory", type=Path, metavar="DIR", help="output directory of a job")
    parser.add_argument(
        "--fix", action="store_true", help="have the next run make damaged tasks again"
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="make a damaged or lost ledger anew from results.jsonl and the files",
    )
    parser.add_argument("--json", action="store_true", help="one JSON object")


def _add_merge(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "merge", "unite the output directories of shards in one")
    parser.add_argument(
        "out", type=Path, metavar="OUT", help="the directory to be made or added to"
    )
    parser.add_argument("directories", type=Path, nargs="+", metavar="DIR", help="of a shard")


def _add_models(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "models", "list the models of the catalogue, or show one")
    parser.add_argument(
        "id", nargs="?", metavar="ID", help="of one model; all where it is left out"
    )
    parser.add_argument("--search", metavar="TEXT", help="models with TEXT in their id")
    parser.add_argument("--provider", metavar="NAME", default="aimlapi", help="aimlapi or openai")
    parser.add_argument("--json", action="store_true", help="one JSON value")
    parser.add_argument("--live", action="store_true", help="ask the provider which models it has")
    parser.add_argument("--base-url", metavar="URL", help="where --live asks instead")


def _add_simulate(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "simulate", "serve a simulated API on loopback until Ctrl-C")
    parser.epilog = f"{fault_lines()}\n\n{parser.epilog}"
    parser.add_argument(
        "--port", type=argument_types.port, default=8080, metavar="PORT", help="0 takes a free one"
    )
    parser.add_argument("--latency", default="0s", metavar="2s±0.5", help="before each reply")
    parser.add_argument(
        "--work", default="0s", metavar="30s..120s", help="how long a remote job takes: a video"
    )
    parser.add_argument("--faults", default="", metavar="429=0.1,500=0.02", help="share of each")
    parser.add_argument(
        "--expiry",
        type=argument_types.positive_number,
        metavar="SECONDS",
        help="how long the URL of a file is good",
    )
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of faults and latency")
    parser.add_argument(
        "--rpm", type=argument_types.positive_number, metavar="N", help="requests a minute allowed"
    )
    parser.add_argument(
        "--burst",
        type=argument_types.positive_number,
        metavar="N",
        help="requests that it saves up",
    )
    parser.add_argument(
        "--max-in-flight", type=argument_types.whole_number, metavar="N", help="more get a 429"
    )
    parser.add_argument(
        "--no-limit-headers", action="store_true", help="a 429 does not say how long to wait"
    )
    parser.add_argument(
        "--credit", type=argument_types.whole_number, metavar="N", help="requests until it is spent"
    )
    parser.add_argument(
        "--balance", type=argument_types.positive_number, metavar="USD", help="what the account has"
    )
    parser.add_argument(
        "--refuse", action="append", metavar="WORD", help="refuse prompts with it; repeatable"
    )
    parser.add_argument(
        "--no-idempotency", action="store_true", help="make and charge again under the same key"
    )


def _add_init(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "init", "write a commented starter job, and its schema beside it")
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=Path("job.yaml"),
        metavar="FILE",
        help="default job.yaml; - for stdout",
    )


def _add_completion(commands: _Commands, whole: Parser) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "completion", "write the script by which a shell completes words")
    parser.add_argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh")
    parser.set_defaults(whole=whole)
