"""The families except images: requests and replies, from recorded samples (values invented)."""

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.http.request_body import encode_body
from batchgen.media.formats import NPY, sniff
from batchgen.provider.endpoints import ENDPOINTS, REMOTE
from batchgen.types import (
    Finished,
    GeneratedPayload,
    HttpResponse,
    Json,
    Payload,
    Pending,
    RemotePayload,
    Spooled,
    Unusable,
)
from tests.given import a_task

SAMPLES = Path(__file__).parents[2] / "samples"
FAMILIES = sorted(ENDPOINTS.keys() - {"images", "edits"})
CASES = sorted(path.parent for name in FAMILIES for path in SAMPLES.glob(f"{name}/*/response.json"))
PNG = Spooled("1.part", 9, "", b"\x89PNG\r\n\x1a\n", b"\x89PNG\r\n\x1a\n")


def parsed(family: str, kind: str, response: HttpResponse) -> Finished | Pending | Unusable:
    if kind == "poll":
        return REMOTE[family].parse_poll(response)
    return ENDPOINTS[family].parse_response(response)


@pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name} {path.name}")
def test_recorded_reply_is_read_as_expected(case: Path) -> None:
    sample, expected = (
        json.loads((case / f"{part}.json").read_text()) for part in ("response", "expected")
    )
    body = json.dumps(sample["body"]).encode()
    response = HttpResponse(sample["status"], sample["headers"], body, (PNG,))
    match parsed(case.parent.name, sample["kind"], response):
        case Finished() as finished:
            wanted = expected["finished"]
            payloads = [_as_expected(payload, response) for payload in finished.payloads]
            assert payloads == wanted["payloads"]
            assert finished.cost_usd == wanted["cost_usd"]
        case Pending(remote_id):
            assert remote_id == expected["pending"]
        case Unusable() as unusable:
            assert unusable.kind == expected["unusable"]["kind"]
            assert expected["unusable"]["message"] in unusable.message


def _as_expected(payload: Payload, response: HttpResponse) -> Mapping[str, object]:
    """Return a payload in the format of expected.json."""
    match payload:
        case RemotePayload(url):
            return {"url": url}
        case Spooled():
            return {"spooled": response.payloads.index(payload)}
        case GeneratedPayload(data, ""):
            return {"made_hex": data.hex(), "media_type": ""}
        case GeneratedPayload(data, NPY.mime):
            return {"floats": floats(data), "media_type": NPY.mime}
        case GeneratedPayload(data, media_type):
            return {"made": data.decode(), "media_type": media_type}


def floats(npy: bytes) -> list[list[float]]:
    """Read the two-dimensional array of a .npy file (NEP 1, version 1.0)."""
    assert sniff(npy) is NPY
    size = int.from_bytes(npy[8:10], "little")
    assert (10 + size) % 64 == 0
    header = npy[10 : 10 + size].decode()
    assert header.startswith("{'descr': '<f4', 'fortran_order': False, 'shape': (")
    rows, columns = (int(text) for text in header.partition("(")[2].partition(")")[0].split(","))
    values = struct.unpack(f"<{rows * columns}f", npy[10 + size :])
    return [list(values[row * columns : (row + 1) * columns]) for row in range(rows)]


def test_every_family_has_recorded_samples() -> None:
    assert {path.parent.name for path in CASES} == set(FAMILIES)


@pytest.mark.parametrize(
    ("family", "path", "prompt_name"),
    [
        ("video", "/v2/video/generations", "prompt"),
        ("music", "/v2/generate/audio", "prompt"),
        ("tts", "/v1/tts", "text"),
        ("3d", "/v1/images/generations", "prompt"),
        ("ocr", "/v1/ocr", "prompt"),
        ("embeddings", "/v1/embeddings", "input"),
        ("stt", "/v1/stt/create", "prompt"),
    ],
)
def test_a_request_has_the_prompt_and_the_parameters(
    family: str, path: str, prompt_name: str
) -> None:
    task = a_task(endpoint=family, model="m", params={"duration": 5, "seed": None})
    request = ENDPOINTS[family].build_request(task)
    assert (request.method, request.path) == ("POST", path)
    assert request.body == {"model": "m", prompt_name: "A fox, number 0", "duration": 5}
    renamed = ENDPOINTS[family].build_request(task, "script")
    assert renamed.body["script"] == "A fox, number 0"


def test_a_prompt_and_images_become_the_users_message() -> None:
    params: dict[str, Json] = {
        "system": "Be brief.",
        "image_url": "https://x/a.png",
        "stream": True,
    }
    request = ENDPOINTS["chat"].build_request(a_task(model="gpt-4o", params=params))
    image = {"type": "image_url", "image_url": {"url": "https://x/a.png"}}
    content = [{"type": "text", "text": "A fox, number 0"}, image]
    assert request.path == "/v1/chat/completions"
    (sent,) = encode_body(request).parts
    assert isinstance(sent, bytes)
    assert json.loads(sent) == {
        "model": "gpt-4o",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": content},
        ],
    }


def test_the_system_text_of_a_claude_model_is_a_separate_field() -> None:
    params: dict[str, Json] = {"system": "Be brief.", "max_tokens": 64}
    task = a_task(model="claude-3-7-sonnet-20250219", params=params)
    assert ENDPOINTS["chat"].build_request(task).body == {
        "model": "claude-3-7-sonnet-20250219",
        "max_tokens": 64,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "A fox, number 0"}],
    }


def test_tokens_of_an_answer_are_counted() -> None:
    body = {
        "choices": [{"message": {"content": "A fox."}}],
        "usage": {"prompt_tokens": 12, "completion_tokens": 3},
    }
    result = ENDPOINTS["chat"].parse_response(HttpResponse(200, {}, json.dumps(body).encode()))
    assert isinstance(result, Finished)
    assert result.tokens is not None
    assert (result.tokens.text_input, result.tokens.output) == (12, 3)


def test_a_reply_whose_body_is_audio_is_a_file() -> None:
    headers = {"content-type": "audio/wav", "x-aimlapi-credits-used": "2000"}
    result = ENDPOINTS["tts"].parse_response(HttpResponse(200, headers, b"", (PNG,)))
    assert result == Finished((PNG,), cost_usd=0.001)


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("video", "/v2/video/generations?generation_id=7f%3Akling%2Fv1%26x%3D1"),
        ("music", "/v2/generate/audio?generation_id=7f%3Akling%2Fv1%26x%3D1"),
        ("stt", "/v1/stt/7f%3Akling%2Fv1%26x%3D1"),
    ],
)
def test_a_job_is_polled_with_its_whole_id(family: str, path: str) -> None:
    request = REMOTE[family].build_poll(REMOTE[family].PATH, "7f:kling/v1&x=1")
    assert (request.method, request.path) == ("GET", path)


KEYS = st.sampled_from(
    ["id", "generation_id", "status", "state", "video", "audio", "audio_file", "assets", "url",
     "error", "seed", "data", "base_resp", "pages", "markdown", "images", "image_base64", "index",
     "embedding", "choices", "message", "content", "finish_reason", "refusal", "result", "output",
     "results", "channels", "alternatives", "transcript", "text", "words", "segments", "start",
     "end", "usage", "prompt_tokens", "model_mesh"]
)  # fmt: skip
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["completed", "failed", "queued", "https://cdn.example.test/v", "\ud800"])
    | st.sampled_from(["safe", "batchgen-payload:0", "batchgen-payload:7", "00ff"])
    | st.text()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@given(st.sampled_from(FAMILIES), st.dictionaries(KEYS, VALUES))
def test_any_object_is_read_without_raising(family: str, body: dict[str, Any]) -> None:
    response = HttpResponse(200, {}, json.dumps(body).encode(), (PNG,))
    kinds = ("submit", "poll") if family in REMOTE else ("submit",)
    for kind in kinds:
        result = parsed(family, kind, response)
        assert not isinstance(result, Finished) or result.payloads


@given(st.sampled_from(FAMILIES), st.binary())
def test_any_bytes_are_read_without_raising(family: str, body: bytes) -> None:
    assert isinstance(parsed(family, "submit", HttpResponse(200, {}, body)), Unusable)
