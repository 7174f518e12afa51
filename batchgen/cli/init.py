"""`batchgen init`: a commented starter job, and the schema that editors check it by."""

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
    """`batchgen init`."""
    path: Path = arguments.file
    if str(path) == "-":
        sys.stdout.write(starter(_DEFAULT))
        return Exit.OK
    if format_of(path.name) is not Format.YAML:
        raise UsageError(f"{path}: a job is YAML; name it {path.stem or 'job'}.yaml")
    schema = path.with_name(SCHEMA_NAME)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(starter(path))
        schema.write_text(schema_text(), encoding="utf-8")
    except FileExistsError as error:
        raise UsageError(f"{path} is there already: choose another name") from error
    except OSError as error:
        raise UsageError(f"cannot write {error.filename} ({error.strerror})") from error
    sys.stderr.write(
        f"{path} is a job that runs as it is; {schema} lets editors complete and check it\n"
        f"next: batchgen run {path}\n"
    )
    return Exit.OK


def starter(path: Path) -> str:
    """The starter job for a file of this name."""
    text = resources.files("batchgen.cli").joinpath("starter.yaml").read_text(encoding="utf-8")
    name = re.sub(r"[^\w.-]+", "-", stem(path.name)).strip("-.") or "job"
    shown = re.sub(r"[^\w./-]+", "-", path.name)
    return text.replace("{name}", name).replace("{file}", shown)
