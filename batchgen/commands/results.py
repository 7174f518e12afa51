"""`batchgen results`: the results manifest in manifest order."""

import argparse
import sys
from collections.abc import Iterator
from contextlib import closing

from batchgen.commands.places import open_ledger
from batchgen.errors import Exit, UsageError
from batchgen.openai_batch import write_openai_batch
from batchgen.results import write_csv, write_jsonl
from batchgen.types import Record

_LINES = {"jsonl": write_jsonl, "openai-batch": write_openai_batch}


def results_command(arguments: argparse.Namespace) -> int:
    """`batchgen results`: the results manifest in manifest order."""
    every = arguments.all
    with open_ledger(arguments.directory) as ledger, closing(ledger.records(every=every)) as found:
        variables = ledger.variables(every=every) if arguments.format == "csv" else []
        if arguments.output is None:
            _write_to_stdout(found, arguments.format, variables)
            return Exit.OK
        try:
            if arguments.format == "csv":
                with arguments.output.open("w", encoding="utf-8-sig", newline="") as text:
                    write_csv(found, text, variables)
            else:
                with arguments.output.open("wb") as file:
                    _LINES[arguments.format](found, file)
        except OSError as error:
            raise UsageError(f"cannot write {arguments.output}: {error.strerror}") from error
    return Exit.OK


def _write_to_stdout(found: Iterator[Record], name: str, variables: list[str]) -> None:
    if name == "csv":
        write_csv(found, sys.stdout, variables)
    else:
        _LINES[name](found, sys.stdout.buffer)
    sys.stdout.flush()
