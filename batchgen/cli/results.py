"""`batchgen results`: write the results manifest in one of its formats."""

import argparse
import io
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from batchgen.cli.arguments import open_ledger
from batchgen.cli.streams import PrintableBytes
from batchgen.errors import Exit, UsageError
from batchgen.report.export_csv import write_csv
from batchgen.report.export_openai_batch import write_openai_batch
from batchgen.storage.files import PRIVATE, open_target
from batchgen.storage.ledger import Ledger
from batchgen.storage.results import public_status, write_jsonl
from batchgen.types import Record

_Write: TypeAlias = Callable[[Iterable[Record], BinaryIO], None]
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"  # spreadsheets recognise UTF-8 by it


def results_command(arguments: argparse.Namespace) -> int:
    """Write the results in manifest order to a file or to standard output."""
    to_file = arguments.output is not None
    if arguments.format == "parquet" and not to_file and sys.stdout.isatty():
        raise UsageError("Parquet is a binary format: name a file with -o")
    if to_file and _is_inside(arguments.output, arguments.directory / PRIVATE):
        raise UsageError(f"-o {arguments.output} is in batchgen's own folder; choose another one")
    with open_ledger(arguments.directory) as ledger:
        write = _writer(arguments, ledger, to_file=to_file)
        records = ledger.records(every=arguments.all)
        is_binary = arguments.format == "parquet"
        with (
            closing(records),
            _target(arguments.output, arguments.directory, is_binary=is_binary) as file,
        ):
            write(_selected(records, arguments.status), file)
    return Exit.OK


def _is_inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


def _selected(records: Iterable[Record], statuses: frozenset[str] | None) -> Iterator[Record]:
    return (
        record
        for record in records
        if statuses is None or public_status(record.outcome.status) in statuses
    )


@contextmanager
def _target(path: Path | None, directory: Path, *, is_binary: bool) -> Iterator[BinaryIO]:
    """Yield the file, or standard output, on which texts have no control characters."""
    if path is None:
        stdout = sys.stdout.buffer
        target = stdout if is_binary else cast("BinaryIO", PrintableBytes(stdout))
        yield target
        if isinstance(target, PrintableBytes):
            target.finish()
        sys.stdout.flush()
        return
    try:
        with open_target(path, directory) as file:
            yield file
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _writer(arguments: argparse.Namespace, ledger: Ledger, *, to_file: bool) -> _Write:
    match arguments.format:
        case "csv":
            variables = ledger.variable_names(every=arguments.all)
            return lambda records, file: _write_csv(records, file, variables, mark=to_file)
        case "parquet":
            from batchgen.report.export_parquet import write_parquet  # noqa: PLC0415  # an extra

            return write_parquet
        case "yaml":
            return _manifest_writer(arguments, ledger)
        case "openai-batch":
            return write_openai_batch
        case _:
            return write_jsonl


def _write_csv(
    records: Iterable[Record], file: BinaryIO, variables: list[str], *, mark: bool
) -> None:
    if mark:
        file.write(_BYTE_ORDER_MARK)
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    write_csv(records, text, variables)
    text.detach()


def _manifest_writer(arguments: argparse.Namespace, ledger: Ledger) -> _Write:
    from batchgen.report.export_manifest import write_manifest  # noqa: PLC0415  # only this format needs yaml

    statuses = sorted(arguments.status or ("again",))
    name = "-".join((arguments.directory.resolve().name, *statuses))
    provider = ledger.meta("provider")
    return lambda records, file: write_manifest(records, file, name=name, provider=provider)
