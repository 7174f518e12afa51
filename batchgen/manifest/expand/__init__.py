"""Rows to tasks: defaults, flags, matrix, copies, templates, the catalogue's checks, identity.

Pure and streaming: of a row nothing is kept but a few bytes in the counters that find duplicates.
The order of tasks is the order of rows; of a row's combinations the last axis varies fastest, and
copies vary faster still.
"""

from batchgen.manifest.expand.expander import Expander, RowGroup

__all__ = ["Expander", "RowGroup"]
