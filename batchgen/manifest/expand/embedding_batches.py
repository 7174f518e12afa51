"""Consecutive rows of embeddings that go into one request: their texts are its inputs.

A batch is a task like that of a row `{id, input: [...], vars: {rows: [...]}}`; so it can be
written as such a row and run again as the same task.
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
    """A row whose text goes into a batch.

    id: its own or one made from it. pattern: the template of its file name.
    """

    row: Row
    resolved: Resolved
    id: str
    pattern: str

    def can_join(self, other: "BatchMember") -> bool:
        """Whether one request may hold both, and one file their vectors."""
        mine, its = self.resolved, other.resolved
        of_a_kind = mine.model == its.model and mine.params == its.params
        return of_a_kind and (self.row.file, self.pattern) == (other.row.file, other.pattern)


def batch_size_of(params: Mapping[str, Json]) -> int:
    """How many rows may go into the request of this one; 0 where no size is given."""
    size = params.get(SIZE_KEY)
    if not isinstance(size, int):
        return 0
    return 1 if INPUT_KEY in params else size


def check_format(params: Mapping[str, Json]) -> None:
    """Refuse Parquet where nothing here can write it, before anything is paid for."""
    if params.get(_FORMAT_KEY) == "parquet" and find_spec("pyarrow") is None:
        raise RowError(not_installed("`vector_format: parquet`", "pyarrow"))


def batch_id(members: Sequence[BatchMember]) -> str:
    """`fox+63`: the first row's id, and how many more there are."""
    others = len(members) - 1
    return f"{members[0].id}+{others}" if others else members[0].id


def batch_request(members: Sequence[BatchMember]) -> Resolved:
    """The request of a batch; variables that all of its rows share are its own too."""
    first = members[0].resolved
    texts: list[Json] = [member.resolved.prompt for member in members]
    shared = {
        name: value
        for name, value in first.variables.items()
        if all(_has(member.resolved.variables, name, value) for member in members)
    }
    rows: list[Json] = [_told(member) for member in members]
    params: dict[str, Json] = {**first.params, INPUT_KEY: texts}
    digest = request_digest(first.endpoint, first.model, "", canonical(params))
    variables = {**shared, ROWS_KEY: rows}
    return Resolved(first.endpoint, first.model, "", params, variables, digest)


def _has(variables: Mapping[str, Json], name: str, value: Json) -> bool:
    return name in variables and variables[name] == value


def _told(member: BatchMember) -> Json:
    """What readers of the results find their row by."""
    told: dict[str, Json] = {"id": member.id, "line": member.row.line}
    if member.resolved.variables:
        told["vars"] = dict(member.resolved.variables)
    return told
