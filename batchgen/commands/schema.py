"""`batchgen schema`: JSON Schema of the job file."""

import argparse
import sys

import msgspec

from batchgen.errors import Exit
from batchgen.schema import job_schema


def schema_command(_arguments: argparse.Namespace) -> int:
    """`batchgen schema`."""
    sys.stdout.write(schema_text())
    return Exit.OK


def schema_text() -> str:
    """The schema as a file holds it."""
    return msgspec.json.format(msgspec.json.encode(job_schema()), indent=2).decode() + "\n"
