"""Vectors as files: NumPy's own (NEP 1), and Parquet with the rows that they belong to."""

import sys
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from batchgen.errors import UsageError, not_installed

if TYPE_CHECKING:
    from array import array

Vector: TypeAlias = "array[float]"
_ALIGNED = 64


class Line(msgspec.Struct, frozen=True):
    """The row that a vector belongs to: its id, its line in the manifest, its text."""

    id: str
    line: int
    text: str


def npy(vectors: Sequence[Vector]) -> bytes:
    """A two-dimensional array of 32-bit floats, a row a vector; they are of one length."""
    shape = f"({len(vectors)}, {len(vectors[0])})"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    before = b"\x93NUMPY\x01\x00"
    padding = -(len(before) + 2 + len(header) + 1) % _ALIGNED
    header += b" " * padding + b"\n"
    return before + len(header).to_bytes(2, "little") + header + _floats(vectors)


def parquet(vectors: Sequence[Vector], lines: Sequence[Line]) -> bytes:
    """A table with the columns `id`, `line`, `text` and `vector`, a row a vector.

    Raises UsageError where pyarrow is not installed.
    """
    arrow, writer = _pyarrow()
    count, length = len(vectors), len(vectors[0])
    buffers = [None, arrow.py_buffer(b"".join(map(bytes, vectors)))]
    floats = arrow.Array.from_buffers(arrow.float32(), count * length, buffers)
    table = arrow.table(
        {
            "id": arrow.array([line.id for line in lines], arrow.string()),
            "line": arrow.array([line.line for line in lines], arrow.int64()),
            "text": arrow.array([line.text for line in lines], arrow.string()),
            "vector": arrow.FixedSizeListArray.from_arrays(floats, length),
        }
    )
    file = BytesIO()
    writer.write_table(table, file, compression="zstd")
    return file.getvalue()


def _floats(vectors: Sequence[Vector]) -> bytes:
    if sys.byteorder == "big":
        for vector in vectors:
            vector.byteswap()
    return b"".join(map(bytes, vectors))


def _pyarrow() -> tuple[Any, Any]:
    try:
        import pyarrow  # noqa: ICN001, PLC0415  # no abbreviations;  an extra, and heavy
        from pyarrow import parquet as writer  # noqa: PLC0415  # as above
    except ImportError as error:
        raise UsageError(not_installed("`vector_format: parquet`", "pyarrow")) from error
    return pyarrow, writer
