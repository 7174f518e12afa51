"""The ledger's identity, which makes its idempotency keys unique.

It is in the ledger, and in DIR/.batchgen/identity in case the ledger is lost. The file is written
first: a crash in between leaves a file that the next run reads, so that no key was ever derived
from an identity that is lost.
"""

import uuid
from pathlib import Path

from batchgen.errors import StorageError, remedy, write_error
from batchgen.storage.files import Folder
from batchgen.storage.ledger import Ledger

FILE_NAME = "identity"
_MAX_BYTES = 4096


def identity_of(ledger: Ledger) -> str:
    """Return the ledger's identity, which is created at the first call. Raises StorageError."""
    path = ledger.path.parent / FILE_NAME
    stored = read_identity(path.parent)
    identity = ledger.meta(FILE_NAME) or stored or uuid.uuid4().hex
    if stored != identity:
        _write(path, identity)
    if ledger.meta(FILE_NAME) is None:
        ledger.set_meta(FILE_NAME, identity)
    return identity


def _write(path: Path, identity: str) -> None:
    private = path.parent
    folder = Folder(private.parent)
    try:
        folder.replace(f"{private.name}/{FILE_NAME}", f"{identity}\n".encode())
        folder.sync(private.name)
    except OSError as error:
        raise write_error(path, error) from error


def read_identity(private: Path) -> str | None:
    """Return the identity in DIR/.batchgen, if there is one. Raises StorageError."""
    path = private / FILE_NAME
    try:
        with Folder(private.parent).open_to_read(f"{private.name}/{FILE_NAME}") as file:
            return file.read(_MAX_BYTES).decode("ascii").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"cannot read {path} ({error.strerror or error}): {remedy(error)}"
        ) from error
    except ValueError as error:
        raise StorageError(
            f"{path} is damaged ({error}): restore it from a backup, or remove it (tasks in flight"
            " may then be paid for twice)"
        ) from error
