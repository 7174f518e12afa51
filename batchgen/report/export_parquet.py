"""The results as Parquet, written in row groups; docs/results.md describes the schema."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, BinaryIO

import msgspec

from batchgen.errors import import_optional
from batchgen.storage.results import line_of
from batchgen.types import Record

ROW_GROUP = 10_000
# Columns in order, with the names of pyarrow's types; JSON if the keys depend on the job.
COLUMNS = {
    "id": "string", "key": "string", "line": "int64", "status": "string", "model": "string",
    "prompt": "string", "params": "json", "vars": "json", "artifacts": "artifacts",
    "attempts": "int32", "http_status": "int32", "error": "error", "revised_prompt": "string",
    "request_id": "string", "cost_usd": "float64", "started_at": "timestamp",
    "finished_at": "timestamp", "duration_s": "float64", "reply": "string",
}  # fmt: skip


def write_parquet(records: Iterable[Record], file: BinaryIO) -> None:
    """Write one row per task, with at most `ROW_GROUP` rows in memory.

    Raise UsageError if pyarrow is not installed.
    """
    arrow = import_optional("pyarrow", "--format parquet", "pyarrow")
    parquet = import_optional("pyarrow.parquet", "--format parquet", "pyarrow")
    schema = _schema(arrow)
    rows = (_row(record) for record in records)
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for group in _groups(rows):
            writer.write_table(arrow.Table.from_pylist(group, schema=schema))


def _schema(arrow: Any) -> Any:  # noqa: ANN401  # pyarrow has no types of its own
    artifact = {
        "path": arrow.string(), "bytes": arrow.int64(), "sha256": arrow.string(),
        "media_type": arrow.string(), "width": arrow.int32(), "height": arrow.int32(),
    }  # fmt: skip
    error = {"kind": arrow.string(), "code": arrow.string(), "message": arrow.string()}
    types = {
        "string": arrow.string(), "json": arrow.string(), "int32": arrow.int32(),
        "int64": arrow.int64(), "float64": arrow.float64(),
        "timestamp": arrow.timestamp("ms", tz="UTC"), "error": arrow.struct(error),
        "artifacts": arrow.list_(arrow.struct(artifact)),
    }  # fmt: skip
    return arrow.schema([(name, types[kind]) for name, kind in COLUMNS.items()])


def _row(record: Record) -> dict[str, object]:
    line = line_of(record)
    return {
        **{name: line[name] for name in COLUMNS},
        "params": msgspec.json.encode(line["params"]).decode(),
        "vars": msgspec.json.encode(line["vars"]).decode(),
        "started_at": record.outcome.started_at,
        "finished_at": record.outcome.finished_at,
    }


def _groups(rows: Iterator[dict[str, object]]) -> Iterator[list[Any]]:
    while group := list(islice(rows, ROW_GROUP)):
        yield group
