"""Decisions: what a reply means for its task, by a table.

The job's rules are tried first, then the entries of `BUILT_IN`; the first match decides. Decisions
are values and not exceptions, so status and headers are never lost.

`entry.py` defines an entry, `submissions.py` and `other_requests.py` hold the table, `facts.py`
reads what entries match, `classify.py` decides, `description.py` shows the table to people.
"""

from batchgen.engine.decisions.classify import classify
from batchgen.engine.decisions.description import describe, describe_rules
from batchgen.engine.decisions.table import BUILT_IN, HALT_AFTER

__all__ = ["BUILT_IN", "HALT_AFTER", "classify", "describe", "describe_rules"]
