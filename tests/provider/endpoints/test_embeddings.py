"""Embeddings of several texts: the order of the vectors, and the files made from them."""

import io
import json
from typing import Any

import pytest
from pyarrow import parquet

from batchgen.provider.endpoints import embeddings
from batchgen.types import Finished, GeneratedPayload, HttpResponse, Json, Task, Unusable
from tests.given import a_task
from tests.provider.endpoints.test_families import floats

ROWS: list[Json] = [{"id": "fox", "line": 4}, {"id": "cat", "line": 9, "vars": {"lot": 7}}]
PARAMS: dict[str, Json] = {"input": ["A fox", "A cat"], "dimensions": 2}


def batch(**params: Json) -> Task:
    return a_task(
        endpoint="embeddings", model="m", prompt="", params={**PARAMS, **params},
        vars={"rows": ROWS},
    )  # fmt: skip


def reply(*vectors: tuple[Json, Json]) -> HttpResponse:
    data = [{"index": index, "embedding": vector} for index, vector in vectors]
    return HttpResponse(200, {}, json.dumps({"data": data}).encode())


def rows(file: GeneratedPayload) -> Any:
    read_table: Any = parquet.read_table  # pyarrow has no types of its own
    return read_table(io.BytesIO(file.data)).to_pylist()


def made(result: Finished | Unusable) -> GeneratedPayload:
    assert isinstance(result, Finished)
    (only,) = result.payloads
    assert isinstance(only, GeneratedPayload)
    return only


def test_a_request_has_the_texts_but_no_parameters_of_batchgen() -> None:
    request = embeddings.build_request(batch(vector_format="parquet"))
    assert request.body == {"model": "m", **PARAMS}


def test_vectors_are_in_the_order_of_the_texts() -> None:
    result = embeddings.parse_for_task(batch(), reply((1, [3, 4]), (0, [1, 2])))
    assert floats(made(result).data) == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("vectors", "message"),
    [
        ([(0, [1, 2])], "1 vectors for 2 texts"),
        ([(0, [1, 2]), (1, [3, 4]), (2, [5, 6])], "3 vectors for 2 texts"),
        ([(0, [1, 2]), (0, [3, 4])], "no vectors"),
        ([(1, [1, 2]), (2, [3, 4])], "no vectors"),
        ([(0, [1, 2]), (1, [3])], "no vectors of one length"),
        ([], "no vectors"),
    ],
)
def test_a_reply_that_does_not_match_the_texts_is_a_bad_response(
    vectors: list[Any], message: str
) -> None:
    result = embeddings.parse_for_task(batch(), reply(*vectors))
    assert isinstance(result, Unusable)
    assert result.kind == "bad_response"
    assert message in result.message


def test_a_parquet_file_has_the_rows_with_their_vectors() -> None:
    task = batch(vector_format="parquet")
    file = made(embeddings.parse_for_task(task, reply((1, [3, 4]), (0, [1, 2]))))
    assert file.media_type == "application/vnd.apache.parquet"
    assert rows(file) == [
        {"id": "fox", "line": 4, "text": "A fox", "vector": [1, 2]},
        {"id": "cat", "line": 9, "text": "A cat", "vector": [3, 4]},
    ]


def test_a_row_that_is_not_in_a_batch_has_its_own_id() -> None:
    task = a_task(endpoint="embeddings", params={"vector_format": "parquet"}, vars={})
    file = made(embeddings.parse_for_task(task, reply((0, [1, 2]))))
    (row,) = rows(file)
    assert (row["id"], row["line"], row["text"]) == ("fox-0", 2, "A fox, number 0")
