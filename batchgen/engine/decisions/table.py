"""The whole built-in table, in the order in which it is tried."""

from collections.abc import Mapping

from batchgen.engine.decisions.entry import Entry
from batchgen.engine.decisions.other_requests import DOWNLOADS, POLLS
from batchgen.engine.decisions.submissions import ERRORS, FAULTS, WITHOUT_RESULT

BUILT_IN: tuple[Entry, ...] = (*DOWNLOADS, *POLLS, *WITHOUT_RESULT, *ERRORS, *FAULTS)
HALT_AFTER: Mapping[str, int] = {
    entry.kind: entry.halt_after for entry in BUILT_IN if entry.halt_after is not None
}
