"""From rows to tasks: defaults, flags, matrix, copies, templates, checks, ids and file names.

Streaming: of each row only a few bytes are kept, to find duplicates. Tasks have the order of their
rows; in a matrix the last axis varies fastest, and copies vary faster still.
"""

from batchgen.manifest.expand.expander import Expander, RowGroup

__all__ = ["Expander", "RowGroup"]
