"""Which manifest the results of an output directory come from, as the ledger remembers it.

It is noted once the manifest has passed its check. A crash before that leaves the one before.
"""

import os
from contextlib import suppress
from pathlib import Path

from batchgen.manifest.formats.source import Source
from batchgen.manifest.open import Manifest
from batchgen.storage.ledger import Ledger
from batchgen.types import Problem, Severity

_FACT = "manifest"


def other_manifest(ledger: Ledger, manifest: Manifest) -> Problem | None:
    """A warning where a default output directory holds the results of another manifest.

    None where that is gone, since this is what it has become, and where the directory was chosen.
    """
    job, label = manifest.job, manifest.source.label
    before, now = ledger.meta(_FACT), _place(manifest.source)
    if before is None or now is None or not job.has_default_output() or _are_same(before, now):
        return None
    message = (
        f"{job.output_dir} holds results of {_shown(before)}, and this is another manifest: from"
        " here on results.jsonl lists the tasks of this one alone. To keep the two apart, choose"
        " an output directory of its own with -o DIR"
    )
    return Problem(label, 0, message, Severity.WARNING)


def remember_manifest(ledger: Ledger, source: Source) -> None:
    """Note the manifest, unless it has no file of its own, as standard input has none."""
    place = _place(source)
    if place is not None and place != ledger.meta(_FACT):
        ledger.set_meta(_FACT, place)


def _place(source: Source) -> str | None:
    """Where it is by its name: a link may point elsewhere tomorrow."""
    place = os.path.abspath(source.path)
    # Names that are no UTF-8 are none that the ledger can hold.
    is_sound = place.encode(errors="replace").decode() == place
    return place if is_sound and source.path == Path(source.label) else None


def _are_same(before: str, now: str) -> bool:
    if before == now:
        return True
    with suppress(OSError):
        return os.path.samefile(before, now)
    return True


def _shown(place: str) -> str:
    with suppress(ValueError):
        return str(Path(place).relative_to(Path.cwd()))
    return place
