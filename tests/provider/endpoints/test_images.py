"""Every documented shape of an images reply, from recorded samples (values invented)."""

import json
from base64 import b64decode
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.provider.endpoints import ENDPOINTS, family_of_path
from batchgen.provider.endpoints.images import build_request, parse_response
from batchgen.types import (
    Finished,
    HttpResponse,
    Json,
    Payload,
    RemotePayload,
    Spooled,
    Task,
    Tokens,
    Unusable,
)

SAMPLES = Path(__file__).parents[2] / "samples" / "images"
CASES = sorted(path.name for path in SAMPLES.iterdir())
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\6\0\0\0"
URL = "https://cdn.example.test/a.png"


def spooled(content: bytes, index: int = 0) -> Spooled:
    digest = sha256(content).hexdigest()
    return Spooled(f"{index}.part", len(content), digest, content[:4096])


def extract_payloads(value: Json, payloads: list[Spooled]) -> Json:
    """Return a body as the transport returns it, with its payloads moved to the list."""
    match value:
        case dict():
            return {key: _extracted(key, item, payloads) for key, item in value.items()}
        case list():
            return [extract_payloads(item, payloads) for item in value]
        case _:
            return value


def _extracted(key: str, item: Json, payloads: list[Spooled]) -> Json:
    if not isinstance(item, str) or item.startswith("batchgen-payload:"):
        return extract_payloads(item, payloads)
    if key not in ("b64_json", "image_base64") and not item.startswith("data:"):
        return item
    payloads.append(spooled(b64decode(item.rpartition(",")[2], validate=True), len(payloads)))
    return f"batchgen-payload:{len(payloads) - 1}"


def recorded(sample: Mapping[str, Any]) -> HttpResponse:
    payloads: list[Spooled] = []
    body = sample.get("text")
    if body is None:
        body = json.dumps(extract_payloads(sample["body"], payloads))
    return HttpResponse(sample["status"], sample["headers"], body.encode(), tuple(payloads))


def reply(body: object, *payloads: Spooled) -> HttpResponse:
    return HttpResponse(200, {}, json.dumps(body).encode(), payloads)


def task(**params: Json) -> Task:
    return Task("k", "d", "id", 1, "m.csv", 2, "images", "dall-e-2", "A fox", params, {}, "{id}")


@pytest.mark.parametrize("case", CASES)
def test_recorded_reply_is_read_as_expected(case: str) -> None:
    sample, expected = (
        json.loads((SAMPLES / case / f"{part}.json").read_text())
        for part in ("response", "expected")
    )
    response = recorded(sample)
    match parse_response(response):
        case Finished() as finished:
            wanted = expected["finished"]
            payloads: tuple[Payload, ...] = tuple(
                RemotePayload(item["url"]) if "url" in item else response.payloads[item["spooled"]]
                for item in wanted["payloads"]
            )
            assert finished.payloads == payloads
            assert finished.revised_prompt == wanted["revised_prompt"]
            assert finished.seed == wanted["seed"]
            assert finished.cost_usd == (wanted["cost_usd"] and pytest.approx(wanted["cost_usd"]))
        case Unusable() as unusable:
            wanted = expected["unusable"]
            assert (unusable.kind, unusable.code) == (wanted["kind"], wanted["code"])
            assert wanted["message"] in unusable.message


def test_a_request_has_the_model_the_prompt_and_the_parameters() -> None:
    request = build_request(task(size="512x512", n=2, style=None))
    assert (request.method, request.path) == ("POST", "/v1/images/generations")
    assert request.body == {"model": "dall-e-2", "prompt": "A fox", "size": "512x512", "n": 2}


@pytest.mark.parametrize(
    ("path", "family"),
    [
        ("/v1/images/generations", "images"),
        ("v1/images/generations/", "images"),
        ("/images/generations", "images"),
        ("/v1/images/edits", "edits"),
        ("/v1/chat/completions", "chat"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/completions", None),
        ("", None),
    ],
)
def test_the_path_of_a_batch_line_names_the_family(path: str, family: str | None) -> None:
    assert family_of_path(path) == family


def test_every_family_is_listed_under_its_own_name() -> None:
    assert all(endpoint.name == name for name, endpoint in ENDPOINTS.items())


def test_a_good_image_is_kept_when_another_is_broken() -> None:
    good = spooled(PNG)
    items = [{"b64_json": "batchgen-payload:0"}, {"b64_json": "batchgen-payload:9"}]
    expected = Finished((good,), missing=("its base64 is broken",))
    assert parse_response(reply({"data": items}, good)) == expected


def test_a_payload_with_two_references_is_stored_once() -> None:
    good = spooled(PNG)
    items = [{"b64_json": "batchgen-payload:0"}, {"url": "batchgen-payload:0"}]
    assert parse_response(reply({"data": items}, good)) == Finished((good,))


def test_a_payload_without_an_item_is_left_out() -> None:
    body = {"data": [{"url": URL}], "preview": "batchgen-payload:0"}
    assert parse_response(reply(body, spooled(PNG))) == Finished((RemotePayload(URL),))


def test_base64_is_preferred_to_the_url_of_the_same_item() -> None:
    good = spooled(PNG)
    body = {"data": [{"url": URL, "b64_json": "batchgen-payload:0"}]}
    assert parse_response(reply(body, good)) == Finished((good,))


@pytest.mark.parametrize("usage", [{"credits_used": "NaN"}, {"usd_spent": -1}, {"usd_spent": True}])
def test_an_impossible_cost_is_unknown(usage: object) -> None:
    result = parse_response(reply({"data": [{"url": URL}], "meta": {"usage": usage}}))
    assert result == Finished((RemotePayload(URL),))


def test_half_a_surrogate_pair_is_replaced() -> None:
    result = parse_response(reply({"data": [{"url": URL, "revised_prompt": "fox \ud83e"}]}))
    assert isinstance(result, Finished)
    assert result.revised_prompt == "fox ?"


def test_the_url_beside_an_error_is_not_an_image() -> None:
    result = parse_response(reply({"error": {"message": "no worker"}, "url": URL}))
    assert result == Unusable("remote_failed", "no worker")


KEYS = st.sampled_from(
    [
        "data",
        "images",
        "output",
        "choices",
        "image",
        "url",
        "b64_json",
        "image_base64",
        "error",
        "status",
        "meta",
        "usage",
        "usd_spent",
        "credits_used",
        "seed",
        "revised_prompt",
        "prompt",
        "has_nsfw_concepts",
        "content_violation",
        "message",
        "code",
        "detail",
        "issues",
        "loc",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [URL, "failed", "batchgen-payload:0", "batchgen-payload:7", "\ud800", "1e999"]
    )
    | st.integers(min_value=10**400, max_value=10**401)
    | st.text()
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@given(st.dictionaries(KEYS, VALUES))
def test_any_object_is_read_without_raising(body: dict[str, Any]) -> None:
    result = parse_response(reply(body, spooled(PNG)))
    assert isinstance(result, Unusable) or result.payloads


@given(st.binary())
def test_any_bytes_are_read_without_raising(body: bytes) -> None:
    assert isinstance(parse_response(HttpResponse(200, {}, body)), Unusable)


def test_json_that_is_nested_too_deeply_is_a_bad_response() -> None:
    result = parse_response(HttpResponse(200, {}, b"[" * 100_000))
    assert isinstance(result, Unusable)
    assert result.kind == "bad_response"


@given(st.integers(), st.integers(min_value=0, max_value=10**12))
def test_the_seed_is_exact_and_a_dollar_is_two_million_credits(seed: int, credit: int) -> None:
    body = {"data": [{"url": URL}], "seed": seed, "meta": {"usage": {"credits_used": credit}}}
    result = parse_response(reply(body))
    assert isinstance(result, Finished)
    assert result.seed == seed
    assert result.cost_usd == credit / 2_000_000


def test_the_tokens_of_a_gpt_image_are_counted_by_kind() -> None:
    usage = {
        "input_tokens": 50,
        "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens": 4160,
    }
    result = parse_response(reply({"data": [{"url": URL}], "usage": usage}))
    assert isinstance(result, Finished)
    assert result.tokens == Tokens(text_input=10, image_input=40, output=4160)
    assert result.cost_usd is None


@pytest.mark.parametrize("usage", [None, 7, {}, {"output_tokens": -1}, {"output_tokens": "many"}])
def test_impossible_token_counts_are_left_out(usage: Json) -> None:
    result = parse_response(reply({"data": [{"url": URL}], "usage": usage}))
    assert isinstance(result, Finished)
    assert result.tokens is None
