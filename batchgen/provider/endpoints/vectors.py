"""Files of vectors: NumPy's format (NEP 1), and Parquet with the rows of the vectors."""

import sys
from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from batchgen.errors import import_optional

if TYPE_CHECKING:
    from array import array

Vector: TypeAlias = "array[float]"
_ALIGNMENT = 64


class VectorRow(msgspec.Struct, frozen=True):
    """The row of a vector: its id, its line in the manifest, its text."""

    id: str
    line: int
    text: str


def npy(vectors: Sequence[Vector]) -> bytes:
    """Return a .npy file: 32-bit floats, one row per vector. All vectors have the same length."""
    shape = f"({len(vectors)}, {len(vectors[0])})"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    magic = b"\x93NUMPY\x01\x00"
    padding = -(len(magic) + 2 + len(header) + 1) % _ALIGNMENT
    header += b" " * padding + b"\n"
    return magic + len(header).to_bytes(2, "little") + header + _floats(vectors)


def parquet(vectors: Sequence[Vector], rows: Sequence[VectorRow]) -> bytes:
    """Return a Parquet file with the columns `id`, `line`, `text` and `vector`.

    Raise UsageError if pyarrow is not installed.
    """
    feature = "`vector_format: parquet`"
    arrow = import_optional("pyarrow", feature, "pyarrow")
    writer = import_optional("pyarrow.parquet", feature, "pyarrow")
    count, length = len(vectors), len(vectors[0])
    buffers = [None, arrow.py_buffer(b"".join(map(bytes, vectors)))]
    floats = arrow.Array.from_buffers(arrow.float32(), count * length, buffers)
    table = arrow.table(
        {
            "id": arrow.array([row.id for row in rows], arrow.string()),
            "line": arrow.array([row.line for row in rows], arrow.int64()),
            "text": arrow.array([row.text for row in rows], arrow.string()),
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
