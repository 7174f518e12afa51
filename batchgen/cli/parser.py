"""The parser of the command line: commands, options and their help."""

import argparse
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from batchgen._version import __version__
from batchgen.cli import argument_types
from batchgen.cli.argument_parser import Parser
from batchgen.cli.examples import examples_of
from batchgen.cli.run_options import add_manifest_options, add_run_options
from batchgen.simulator.fault_names import fault_lines

if TYPE_CHECKING:
    from collections.abc import Callable


def parser() -> argparse.ArgumentParser:
    """Return the parser of `batchgen`; `call` of its result is the function of the command."""
    root = Parser(
        prog="batchgen",
        description="Generate files from a manifest of prompts; write a results manifest.",
        epilog=examples_of(""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    root.add_argument("--version", action="version", version=f"batchgen {__version__}")
    commands = root.add_subparsers(required=True, metavar="COMMAND", parser_class=Parser)
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
    _add_completion(commands, root)
    return root


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
    parser.set_defaults(call=_LazyCommand(name))
    return parser


class _LazyCommand:
    """A command's function, whose module is imported when it is called."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, arguments: argparse.Namespace) -> int:
        module = import_module(f"batchgen.cli.{self._name}")
        call: Callable[[argparse.Namespace], int] = getattr(module, f"{self._name}_command")
        return call(arguments)


def _add_directory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("directory", type=Path, metavar="DIR", help="output directory of a job")


def _add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")


def _add_run(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "run", "generate the files of a manifest; skip tasks that are done")
    add_manifest_options(parser)
    add_run_options(parser)
    parser.set_defaults(json=False)


def _add_plan(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "plan", "check and price a manifest without sending anything")
    add_manifest_options(parser, optional=True)
    _add_json(parser)
    parser.add_argument(
        "--rules",
        action="store_true",
        help="print how replies are judged: the rules of the job, then the built-in table",
    )


def _add_status(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "status", "show the progress of a job, during a run or after it")
    _add_directory(parser)
    _add_json(parser)
    parser.add_argument(
        "--watch", action="store_true", help="print again at every --interval until the run ends"
    )
    parser.add_argument(
        "--interval",
        type=argument_types.duration,
        default=2.0,
        metavar="DURATION",
        help="with --watch, print at this interval (default 2s)",
    )


def _add_results(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "results", "write the results of a job in manifest order")
    _add_directory(parser)
    parser.add_argument(
        "--format",
        choices=("jsonl", "csv", "parquet", "yaml", "openai-batch"),
        default="jsonl",
        help="set the format (default jsonl); yaml is a manifest to edit and to run again",
    )
    parser.add_argument(
        "--status",
        type=argument_types.statuses,
        metavar="STATUS",
        help="write only tasks that are succeeded, failed, refused, unknown, skipped or pending;"
        " separate several by commas",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to FILE, not to standard output"
    )
    parser.add_argument(
        "--all", action="store_true", help="include tasks that are no longer in the manifest"
    )


def _add_report(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "report", "write a self-contained HTML page of a job's results")
    _add_directory(parser)
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to FILE, not to DIR/report.html"
    )
    parser.add_argument(
        "--contact-sheet",
        type=Path,
        metavar="FILE",
        help="also write a PNG with a small version of each image",
    )


def _add_show(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "show", "show the prompt and the parameters of a generated file")
    parser.add_argument("file", type=Path, metavar="FILE", help="a generated file")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="look FILE up in this output directory"
    )
    _add_json(parser)


def _add_verify(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "verify", "check that the ledger and the files agree")
    _add_directory(parser)
    parser.add_argument(
        "--fix", action="store_true", help="let the next run generate damaged files again"
    )
    parser.add_argument(
        "--rebuild",
        action="store_true",
        help="rebuild a lost or damaged ledger from results.jsonl and the files",
    )
    _add_json(parser)


def _add_merge(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "merge", "merge the output directories of shards into one")
    parser.add_argument("out", type=Path, metavar="OUT", help="directory to create or to add to")
    parser.add_argument(
        "directories", type=Path, nargs="+", metavar="DIR", help="output directory of a shard"
    )


def _add_models(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "models", "list the models of the catalogue, or show one")
    parser.add_argument("id", nargs="?", metavar="ID", help="show this model; without it, list all")
    parser.add_argument(
        "--search", metavar="TEXT", help="list only models whose id or alias contains TEXT"
    )
    parser.add_argument(
        "--provider",
        metavar="NAME",
        default="aimlapi",
        help="choose the catalogue: aimlapi (default) or openai",
    )
    _add_json(parser)
    parser.add_argument(
        "--live", action="store_true", help="compare with the models that the provider lists now"
    )
    parser.add_argument("--base-url", metavar="URL", help="send the request of --live to URL")


def _add_simulate(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "simulate", "serve a simulated API on loopback until Ctrl-C")
    parser.epilog = f"{fault_lines()}\n\n{parser.epilog}"
    parser.add_argument(
        "--port",
        type=argument_types.port,
        default=8080,
        metavar="PORT",
        help="listen on PORT (default 8080); 0 chooses a free port",
    )
    _add_simulated_replies(parser.add_argument_group("replies"))
    _add_simulated_limits(parser.add_argument_group("limits"))


def _add_simulated_replies(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--latency", default="0s", metavar="2s±0.5", help="delay each reply (default 0s)"
    )
    group.add_argument(
        "--work",
        default="0s",
        metavar="30s..120s",
        help="set how long a remote job, such as a video, takes (default 0s)",
    )
    group.add_argument(
        "--faults",
        default="",
        metavar="429=0.1,500=0.02",
        help="inject faults, each into this share of the requests",
    )
    group.add_argument(
        "--expiry",
        type=argument_types.positive_number,
        metavar="SECONDS",
        help="let the URL of a file expire after this time",
    )
    group.add_argument(
        "--seed", type=int, default=0, metavar="N", help="seed the faults and latencies (default 0)"
    )
    group.add_argument(
        "--refuse", action="append", metavar="WORD", help="refuse prompts with WORD; repeatable"
    )
    group.add_argument(
        "--no-idempotency",
        action="store_true",
        help="generate and charge again if an idempotency key is sent again",
    )


def _add_simulated_limits(group: "argparse._ArgumentGroup") -> None:
    group.add_argument(
        "--rpm",
        type=argument_types.positive_number,
        metavar="N",
        help="allow N requests per minute; reject more with a 429",
    )
    group.add_argument(
        "--burst",
        type=argument_types.positive_number,
        metavar="N",
        help="allow bursts of N requests within --rpm (default: the requests of one second)",
    )
    group.add_argument(
        "--max-in-flight",
        type=argument_types.whole_number,
        metavar="N",
        help="allow N requests in flight; reject more with a 429",
    )
    group.add_argument(
        "--no-limit-headers",
        action="store_true",
        help="send a 429 without headers that say how long to wait",
    )
    group.add_argument(
        "--credit",
        type=argument_types.whole_number,
        metavar="N",
        help="reject requests after N generations, as if the credit were spent",
    )
    group.add_argument(
        "--balance",
        type=argument_types.positive_number,
        metavar="USD",
        help="set the balance of the account",
    )


def _add_init(commands: _Commands) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "init", "write a commented starter job and its JSON Schema")
    parser.add_argument(
        "file",
        type=Path,
        nargs="?",
        default=Path("job.yaml"),
        metavar="FILE",
        help="file to create (default job.yaml); - for standard output",
    )


def _add_completion(commands: _Commands, root: Parser) -> None:  # type: ignore[valid-type]  # see _command
    parser = _command(commands, "completion", "write the completion script for a shell")
    parser.add_argument("shell", choices=("bash", "zsh"), metavar="SHELL", help="bash or zsh")
    parser.set_defaults(root=root)
