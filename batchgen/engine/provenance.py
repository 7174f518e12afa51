"""The manifest that the results of an output directory come from, as the ledger records it.

It is recorded after the manifest has passed its check; a crash before that leaves the old one.
"""

import os
from contextlib import suppress
from pathlib import Path

from batchgen.manifest.formats.source import Source
from batchgen.manifest.open import Manifest
from batchgen.storage.ledger import Ledger
from batchgen.types import Problem, Severity

_KEY = "manifest"


def other_manifest_warning(ledger: Ledger, manifest: Manifest) -> Problem | None:
    """Return a warning if a default output directory holds the results of another manifest.

    None if that file no longer exists, since it may have been renamed to this one, or if the user
    chose the directory.
    """
    job, label = manifest.job, manifest.source.label
    before, now = ledger.meta(_KEY), _path_of(manifest.source)
    if before is None or now is None or not job.has_default_output() or _is_same_file(before, now):
        return None
    message = (
        f"{job.output_dir} holds results of {_relative(before)}; from now on results.jsonl lists"
        " only the tasks of this manifest. To keep both, choose another output directory with"
        " -o DIR"
    )
    return Problem(label, 0, message, Severity.WARNING)


def record_manifest(ledger: Ledger, source: Source) -> None:
    """Record the manifest's path in the ledger; standard input has none."""
    path = _path_of(source)
    if path is not None and path != ledger.meta(_KEY):
        ledger.set_meta(_KEY, path)


def _path_of(source: Source) -> str | None:
    """Return the absolute path; symbolic links are kept, since their targets may change."""
    path = os.path.abspath(source.path)
    is_utf8 = path.encode(errors="replace").decode() == path  # the ledger holds nothing else
    return path if is_utf8 and source.path == Path(source.label) else None


def _is_same_file(before: str, now: str) -> bool:
    if before == now:
        return True
    with suppress(OSError):
        return os.path.samefile(before, now)
    return True


def _relative(path: str) -> str:
    with suppress(ValueError):
        return str(Path(path).relative_to(Path.cwd()))
    return path
