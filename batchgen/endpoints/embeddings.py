"""The embeddings family: texts in, vectors back, kept as an array that NumPy reads.

The array has a row an input, in the order of the inputs, whatever order the reply has
(https://docs.aimlapi.com, "Embedding models"; the file format is NumPy's NEP 1).
"""

import binascii
import sys
from array import array
from collections.abc import Sequence

from batchgen.endpoints.replies import cost_usd, failure, job_error, read_object, shown, tokens_of
from batchgen.endpoints.requests import post
from batchgen.types import Finished, HttpRequest, HttpResponse, Json, Made, Task, Unusable

name: str = "embeddings"
PATH: str = "/v1/embeddings"
_ALIGNED = 64


def build_request(task: Task, prompt_name: str = "input") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    return post(task, PATH, prompt_name)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply; never raises, whatever the bytes."""
    body = read_object(response, "vector")
    if isinstance(body, Unusable):
        return body
    vectors = _vectors(body.get("data"))
    if vectors:
        made = Made(_npy(vectors), "application/x-npy")
        cost, tokens = cost_usd(body, response.headers), tokens_of(body)
        return Finished((made,), cost_usd=cost, tokens=tokens)
    if job_error(response, body):
        return failure(response, body)
    return Unusable("bad_response", f"no vectors of one length in the reply: {shown(response)}")


def _vectors(data: Json) -> list["array[float]"]:
    """The vectors by their `index`; none where one is missing or another's length."""
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    numbered = [(item.get("index", place), item) for place, item in enumerate(items)]
    by_index = {index: item for index, item in numbered if type(index) is int}
    vectors = [_vector(by_index[index].get("embedding")) for index in sorted(by_index)]
    whole = len(by_index) == len(items) and len({len(vector) for vector in vectors}) == 1
    return vectors if whole and vectors[0] else []


def _vector(value: Json) -> "array[float]":
    """Numbers as they are, or little-endian floats in base64."""
    vector = array("f")
    try:
        if isinstance(value, str):
            vector.frombytes(binascii.a2b_base64(value))
        elif isinstance(value, list):
            vector.extend(one for one in value if isinstance(one, int | float))
            return vector if len(vector) == len(value) else array("f")
    except (ValueError, OverflowError):
        return array("f")
    if sys.byteorder == "big":
        vector.byteswap()
    return vector


def _npy(vectors: Sequence["array[float]"]) -> bytes:
    shape = f"({len(vectors)}, {len(vectors[0])})"
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}".encode()
    before = b"\x93NUMPY\x01\x00"
    padding = -(len(before) + 2 + len(header) + 1) % _ALIGNED
    header += b" " * padding + b"\n"
    if sys.byteorder == "big":
        for vector in vectors:
            vector.byteswap()
    return before + len(header).to_bytes(2, "little") + header + b"".join(map(bytes, vectors))
