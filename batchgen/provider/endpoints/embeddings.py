"""The embeddings family: texts in, one file of vectors back.

The file has one row per text, in the order of the texts; the reply may have another order
(https://docs.aimlapi.com, "Embedding models").
"""

import binascii
import sys
from array import array

from batchgen.provider.endpoints.replies import (
    JsonObject,
    body_fields,
    cost_usd,
    excerpt,
    find_job_error,
    read_object,
    read_tokens,
    remote_failure,
)
from batchgen.provider.endpoints.vectors import Vector, VectorRow, npy, parquet
from batchgen.types import (
    Finished,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    Json,
    Task,
    Unusable,
)

name: str = "embeddings"
PATH: str = "/v1/embeddings"
_NOT_SENT = frozenset({"batch_size", "vector_format"})


def build_request(task: Task, prompt_name: str = "input") -> HttpRequest:
    """Return the request of a task; parameters that are None count as absent."""
    body = body_fields(task, prompt_name=prompt_name, without=_NOT_SENT)
    return HttpRequest("POST", PATH, body, expects_long_reply=True)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply without its task; never raise an error."""
    return _parse(response, None)


def parse_for_task(task: Task, response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply to a task's request: exactly one vector for each of its texts.

    Raise UsageError if the task wants Parquet and pyarrow is not installed.
    """
    return _parse(response, task)


def _parse(response: HttpResponse, task: Task | None) -> Finished | Unusable:
    body = read_object(response, "vector")
    if isinstance(body, Unusable):
        return body
    vectors = _vectors(body.get("data"))
    if not vectors:
        if find_job_error(response, body):
            return remote_failure(response, body)
        return Unusable(
            "bad_response", f"no vectors of one length in the reply: {excerpt(response)}"
        )
    rows = _rows(task) if task else []
    if task and len(vectors) != len(rows):
        message = f"{len(vectors)} vectors for {len(rows)} texts: {excerpt(response)}"
        return Unusable("bad_response", message)
    return _result(body, response, _file(vectors, rows, task))


def _result(body: JsonObject, response: HttpResponse, file: GeneratedPayload) -> Finished:
    return Finished((file,), cost_usd=cost_usd(body, response.headers), tokens=read_tokens(body))


def _file(vectors: list[Vector], rows: list[VectorRow], task: Task | None) -> GeneratedPayload:
    if task and task.params.get("vector_format") == "parquet":
        return GeneratedPayload(parquet(vectors, rows), "application/vnd.apache.parquet")
    return GeneratedPayload(npy(vectors), "application/x-npy")


def _rows(task: Task) -> list[VectorRow]:
    """Return the rows of a task's texts, in their order."""
    batch = task.params.get("input")
    texts = [str(text) for text in batch] if isinstance(batch, list) else [task.prompt]
    origins = task.vars.get("rows")
    if isinstance(origins, list) and len(origins) == len(texts):
        rows = [row if isinstance(row, dict) else {} for row in origins]
        ids = [(str(row.get("id", "")), row.get("line")) for row in rows]
    else:
        ids = [(task.id, task.line)] * len(texts)
    return [
        VectorRow(row_id, line if type(line) is int else task.line, text)
        for (row_id, line), text in zip(ids, texts, strict=True)
    ]


def _vectors(data: Json) -> list[Vector]:
    """Return the vectors in the order of `index`; none if one is missing or has another length."""
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    numbered = [(item.get("index", position), item) for position, item in enumerate(items)]
    by_index = {index: item for index, item in numbered if type(index) is int}
    if by_index.keys() != set(range(len(items))):
        return []
    vectors = [_vector(by_index[index].get("embedding")) for index in range(len(items))]
    same_length = len({len(vector) for vector in vectors}) == 1
    return vectors if same_length and vectors[0] else []


def _vector(value: Json) -> Vector:
    """Read a list of numbers, or little-endian floats in base64; empty if it is neither."""
    vector = array("f")
    try:
        if isinstance(value, str):
            vector.frombytes(binascii.a2b_base64(value))
        elif isinstance(value, list):
            vector.extend(number for number in value if isinstance(number, int | float))
            return vector if len(vector) == len(value) else array("f")
    except (ValueError, OverflowError):
        return array("f")
    if sys.byteorder == "big":
        vector.byteswap()
    return vector
