"""`batchgen init`: write a commented starter job, and the JSON Schema for editors beside it."""

import argparse
import re
import sys
from importlib import resources
from pathlib import Path

from batchgen.cli.schema import schema_text
from batchgen.errors import Exit, UsageError
from batchgen.job import stem
from batchgen.manifest.formats.source import Format, format_of

SCHEMA_NAME = "batchgen.schema.json"
_DEFAULT = Path("job.yaml")


def init_command(arguments: argparse.Namespace) -> int:
    """Write the starter job and its schema, or print the job if the file is `-`."""
    path: Path = arguments.file
    if str(path) == "-":
        sys.stdout.write(starter(_DEFAULT))
        return Exit.OK
    if format_of(path.name) is not Format.YAML:
        raise UsageError(f"{path}: a job is a YAML file; name it {path.stem or 'job'}.yaml")
    schema = path.with_name(SCHEMA_NAME)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter(path))
        schema.write_text(schema_text(), encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(f"{path} already exists: choose another name") from error
    except OSError as error:
        raise UsageError(f"cannot write {error.filename} ({error.strerror})") from error
    sys.stderr.write(
        f"{path}: a job that runs without a key\n"
        f"{schema}: its JSON Schema, with which editors complete and check it\n"
        f"next: batchgen run {path}\n"
    )
    return Exit.OK


def starter(path: Path) -> str:
    """Return the text of the starter job for a file with this name."""
    text = resources.files("batchgen.cli").joinpath("starter.yaml").read_text(encoding="utf-8")
    name = re.sub(r"[^\w.-]+", "-", stem(path.name)).strip("-.") or "job"
    file = re.sub(r"[^\w./-]+", "-", path.name)
    return text.replace("{name}", name).replace("{file}", file)
