"""Every exception that a user can see, each with its exit code.

Messages are for the person at the terminal: what is wrong, where, and what to do.
Failures of a single task are values (`types.Decision`), never exceptions.
"""

import errno
from enum import IntEnum
from importlib import import_module
from pathlib import Path
from types import ModuleType


class Exit(IntEnum):
    """Exit codes of the command, as listed in docs/commands.md."""

    OK = 0
    SOME_FAILED = 1
    USAGE = 2
    HALTED = 3
    STORAGE = 4
    LOCKED = 75
    INTERRUPTED = 130
    TERMINATED = 143


class BatchgenError(Exception):
    """An error that the command reports in one message, without a traceback."""

    exit_code = Exit.USAGE


class UsageError(BatchgenError):
    """An invalid flag, environment variable or path; nothing was sent."""


class ManifestError(BatchgenError):
    """A job or manifest that cannot be read; `line` counts from 1, 0 if it has no line."""

    def __init__(self, message: str, *, file: str, line: int = 0) -> None:
        self.file = file
        self.line = line
        self.reason = message
        super().__init__(f"{file}:{line}: {message}" if line else f"{file}: {message}")


class StorageError(BatchgenError):
    """The ledger or the store failed: disk full, permissions, a damaged file."""

    exit_code = Exit.STORAGE


class LockedError(BatchgenError):
    """Another run uses the output directory."""

    exit_code = Exit.LOCKED


_REMEDIES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT, errno.EFBIG), "free space"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "allow more open files (`ulimit -n`)"),
    **dict.fromkeys((errno.EACCES, errno.EPERM), "fix the permissions"),
    errno.EROFS: "make the file system writable",
    errno.ENOENT: "put the output directory back where it was",
    **dict.fromkeys((errno.EEXIST, errno.EISDIR, errno.ENOTDIR), "move away what is in its place"),
}


def not_installed(feature: str, library: str) -> str:
    """Return the message for a feature whose optional library cannot be imported."""
    return f"{feature} needs {library}, which is not installed: pip install {library}"


def import_optional(module: str, feature: str, library: str) -> ModuleType:
    """Import a module of an optional library. Raises UsageError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise UsageError(not_installed(feature, library)) from error


def remedy(error: OSError) -> str:
    """Return what a person can do about an error of the system."""
    return _REMEDIES.get(error.errno or 0, "check the disk")


def from_os_error(error: OSError) -> StorageError:
    """Return the error to report for an error of the system that nothing else explains."""
    message = f"{error.filename or 'standard output'}: {error.strerror or error}"
    known = _REMEDIES.get(error.errno or 0)
    return StorageError(f"{message}: {known}" if known else message)


def write_error(path: Path | str, error: OSError) -> StorageError:
    """Return the error to report if a file of an output directory cannot be written."""
    place = error.filename2 or error.filename or path
    return StorageError(
        f"cannot write {place} ({error.strerror or error}): {remedy(error)}, then run the same"
        " command again to continue"
    )
