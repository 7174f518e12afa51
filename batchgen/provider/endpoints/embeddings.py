"""The embeddings family: texts in, vectors back, in one file.

The file has a row an input, in the order of the inputs, whatever order the reply has
(https://docs.aimlapi.com, "Embedding models").
"""

import binascii
import sys
from array import array

from batchgen.provider.endpoints.replies import (
    Object,
    cost_usd,
    failure,
    fields,
    job_error,
    read_object,
    shown,
    tokens_of,
)
from batchgen.provider.endpoints.vectors import Line, Vector, npy, parquet
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
_OURS = frozenset({"batch_size", "vector_format"})


def build_request(task: Task, prompt_name: str = "input") -> HttpRequest:
    """Make the request of a task; parameters that are None count as not given."""
    body = fields(task, prompt_name=prompt_name, without=_OURS)
    return HttpRequest("POST", PATH, body, expects_long_reply=True)


def parse_response(response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply, whatever was asked for; never raises, whatever the bytes."""
    return _parsed(response, None)


def parse_for(task: Task, response: HttpResponse) -> Finished | Unusable:
    """Read a 2xx reply to a task's request: a vector for each of its texts, and no more.

    Raises UsageError where Parquet is asked for and nothing here can write it.
    """
    return _parsed(response, task)


def _parsed(response: HttpResponse, task: Task | None) -> Finished | Unusable:
    body = read_object(response, "vector")
    if isinstance(body, Unusable):
        return body
    vectors = _vectors(body.get("data"))
    if not vectors:
        if job_error(response, body):
            return failure(response, body)
        return Unusable("bad_response", f"no vectors of one length in the reply: {shown(response)}")
    lines = _lines(task) if task else []
    if task and len(vectors) != len(lines):
        told = f"{len(vectors)} vectors for {len(lines)} texts: {shown(response)}"
        return Unusable("bad_response", told)
    return _finished(body, response, _made(vectors, lines, task))


def _finished(body: Object, response: HttpResponse, made: GeneratedPayload) -> Finished:
    return Finished((made,), cost_usd=cost_usd(body, response.headers), tokens=tokens_of(body))


def _made(vectors: list[Vector], lines: list[Line], task: Task | None) -> GeneratedPayload:
    if task and task.params.get("vector_format") == "parquet":
        return GeneratedPayload(parquet(vectors, lines), "application/vnd.apache.parquet")
    return GeneratedPayload(npy(vectors), "application/x-npy")


def _lines(task: Task) -> list[Line]:
    """The rows behind a task's texts, in their order."""
    given = task.params.get("input")
    texts = [str(text) for text in given] if isinstance(given, list) else [task.prompt]
    rows = task.vars.get("rows")
    if isinstance(rows, list) and len(rows) == len(texts):
        found = [row if isinstance(row, dict) else {} for row in rows]
        told = [(str(row.get("id", "")), row.get("line")) for row in found]
    else:
        told = [(task.id, task.line)] * len(texts)
    return [
        Line(own_id, line if type(line) is int else task.line, text)
        for (own_id, line), text in zip(told, texts, strict=True)
    ]


def _vectors(data: Json) -> list[Vector]:
    """The vectors by their `index`, from 0; none where one is missing or another's length."""
    items = [item for item in data if isinstance(item, dict)] if isinstance(data, list) else []
    numbered = [(item.get("index", place), item) for place, item in enumerate(items)]
    by_index = {index: item for index, item in numbered if type(index) is int}
    if by_index.keys() != set(range(len(items))):
        return []
    vectors = [_vector(by_index[index].get("embedding")) for index in range(len(items))]
    whole = len({len(vector) for vector in vectors}) == 1
    return vectors if whole and vectors[0] else []


def _vector(value: Json) -> Vector:
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
