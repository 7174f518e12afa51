"""Batches: consecutive rows of embeddings whose texts are sent in one request.

A batch is the same task as a row `{id, input: [...], vars: {rows: [...]}}`, so it can be exported
as such a row and run again.
"""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec

import msgspec

from batchgen.errors import not_installed
from batchgen.job.canonical import canonical
from batchgen.manifest.expand.fields import RowError
from batchgen.manifest.expand.identity import request_digest
from batchgen.manifest.expand.names import Resolved
from batchgen.types import Json, Row

SIZE_KEY = "batch_size"
INPUT_KEY = "input"
ROWS_KEY = "rows"
_FORMAT_KEY = "vector_format"


class BatchMember(msgspec.Struct, frozen=True):
    """A row of a batch.

    id: the row's own or a generated one. pattern: the template of its file name.
    """

    row: Row
    resolved: Resolved
    id: str
    pattern: str

    def can_join(self, other: "BatchMember") -> bool:
        """Return whether one request can contain both texts, and one file their vectors."""
        ours, theirs = self.resolved, other.resolved
        equal = ours.model == theirs.model and ours.params == theirs.params
        return equal and (self.row.file, self.pattern) == (other.row.file, other.pattern)


def batch_size_of(params: Mapping[str, Json]) -> int:
    """Return how many rows may share a request with these parameters; 0 if no size is set."""
    size = params.get(SIZE_KEY)
    if not isinstance(size, int):
        return 0
    return 1 if INPUT_KEY in params else size


def check_vector_format(params: Mapping[str, Json]) -> None:
    """Raise RowError if Parquet is asked for and pyarrow is not installed."""
    if params.get(_FORMAT_KEY) == "parquet" and find_spec("pyarrow") is None:
        raise RowError(not_installed("`vector_format: parquet`", "pyarrow"))


def batch_id(members: Sequence[BatchMember]) -> str:
    """Return the id of a batch: the first row's id and the number of the others, `fox+63`."""
    others = len(members) - 1
    return f"{members[0].id}+{others}" if others else members[0].id


def batch_request(members: Sequence[BatchMember]) -> Resolved:
    """Return the request of a batch; its variables are those that are equal in all its rows."""
    first = members[0].resolved
    texts: list[Json] = [member.resolved.prompt for member in members]
    shared = {
        name: value
        for name, value in first.variables.items()
        if all(_has(member.resolved.variables, name, value) for member in members)
    }
    rows: list[Json] = [_row_record(member) for member in members]
    params: dict[str, Json] = {**first.params, INPUT_KEY: texts}
    digest = request_digest(first.endpoint, first.model, "", canonical(params))
    variables = {**shared, ROWS_KEY: rows}
    return Resolved(first.endpoint, first.model, "", params, variables, digest)


def _has(variables: Mapping[str, Json], name: str, value: Json) -> bool:
    return name in variables and variables[name] == value


def _row_record(member: BatchMember) -> Json:
    """Return the entry of `vars.rows` that connects a vector with its row."""
    record: dict[str, Json] = {"id": member.id, "line": member.row.line}
    if member.resolved.variables:
        record["vars"] = dict(member.resolved.variables)
    return record
