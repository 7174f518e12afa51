"""The output directory that a command is about."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from batchgen.errors import UsageError
from batchgen.storage.directory import ledger_path
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.connection import refuse_lost
from batchgen.storage.results import FILE_NAME


@contextmanager
def open_ledger(directory: Path) -> Iterator[Ledger]:
    """The ledger of an output directory; raises UsageError, or StorageError where it is lost."""
    check_ledger(directory)
    with Ledger(ledger_path(directory)) as ledger:
        yield ledger


def check_ledger(directory: Path) -> None:
    """Raise UsageError for what is no output directory, StorageError for one without a ledger."""
    check_directory(directory)
    refuse_lost(ledger_path(directory))


def check_directory(directory: Path) -> None:
    """Raise UsageError for what is no output directory: nothing is made in one by mistake."""
    if not directory.is_dir():
        raise UsageError(f"{directory} is not there, or is no directory")
    results = directory / FILE_NAME
    if not (ledger_path(directory).is_file() or (results.is_file() and results.stat().st_size)):
        raise UsageError(f"{directory} is not an output directory of batchgen: it has no ledger")
