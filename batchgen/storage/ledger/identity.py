"""What makes idempotency keys a ledger's own: kept in it, and beside it for a ledger that is lost.

DIR/.batchgen/identity is written before the ledger learns its identity. A crash in between leaves
a file that the next run reads, so that no key is ever derived from an identity that is forgotten.
"""

import uuid
from pathlib import Path

from batchgen.errors import StorageError, remedy
from batchgen.storage.artifacts import write_atomically
from batchgen.storage.ledger import Ledger

FILE_NAME = "identity"


def identity_of(ledger: Ledger) -> str:
    """The ledger's identity, or else that of the file beside it; minted once. StorageError."""
    path = ledger.path.parent / FILE_NAME
    kept = read_identity(path.parent)
    identity = ledger.meta(FILE_NAME) or kept or uuid.uuid4().hex
    if kept != identity:
        write_atomically(path, f"{identity}\n".encode(), path.with_suffix(".part"))
    if ledger.meta(FILE_NAME) is None:
        ledger.set_meta(FILE_NAME, identity)
    return identity


def read_identity(private: Path) -> str | None:
    """The identity that DIR/.batchgen keeps, where it keeps one. Raises StorageError."""
    path = private / FILE_NAME
    try:
        return path.read_text(encoding="ascii").strip() or None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(
            f"cannot read {path} ({error.strerror or error}): {remedy(error)}"
        ) from error
    except ValueError as error:
        raise StorageError(
            f"{path} is damaged ({error}): put it back from a copy, or remove it (tasks in flight"
            " may then be paid for twice)"
        ) from error
