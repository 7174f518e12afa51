"""Error codes and messages from error bodies of every shape."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.provider.endpoints.errors import (
    ProviderError,
    is_refusal,
    read_error,
    read_json,
    sanitize,
)
from batchgen.types import HttpResponse
from tests.provider.endpoints.test_images import VALUES

VENDOR = {
    "message": "Too Many Requests",
    "path": "/v1/images/generations",
    "requestId": "0b7d",
    "statusCode": "429",
}
ZOD = {
    "message": "Body validation error",
    "issues": [{"code": "too_big", "path": ["image_size", "width"], "message": "at most 1536"}],
}
FASTAPI = {"detail": [{"loc": ["body", "n"], "msg": "not an integer", "type": "type_error"}]}
OPENAI = {"error": {"message": "No such size", "type": "invalid_request_error", "code": "bad_size"}}


def read(body: object, status: int = 400) -> ProviderError:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_error(HttpResponse(status, {}, content))


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        (VENDOR, None, "Too Many Requests"),
        (ZOD, None, "Body validation error: image_size.width: at most 1536"),
        (FASTAPI, None, "n: not an integer"),
        (OPENAI, "bad_size", "No such size"),
        ({"error": {"message": "x", "code": None, "type": "t"}}, "t", "x"),
        ({"error": {"message": "x", "code": 1301}}, "1301", "x"),
        ({"error": "invalid prompt"}, None, "invalid prompt"),
        ({"statusCode": 400, "message": ["a", "b"], "error": "Bad Request"}, None, "a; b"),
        ({"detail": "Not Found"}, None, "Not Found"),
        ({"detail": {"code": "gone", "message": "It is gone"}}, "gone", "It is gone"),
        ({"errors": [{"message": "first"}, {"message": "second"}]}, None, "first; second"),
        ({"type": "about:blank", "title": "Gone away"}, None, "Gone away"),
        ({"name": "ModelBusy", "message": "busy"}, "ModelBusy", "busy"),
        ([{"error": {"code": 429, "message": "slow down"}}], "429", "slow down"),
        ("only a string", None, "only a string"),
        ({"unknown": "shape"}, None, '{"unknown": "shape"}'),
        (b"upstream connect error\r\n", None, "upstream connect error"),
        (b"<html><title>502 Bad\n Gateway</title><p>nginx", None, "502 Bad Gateway"),
        (b"<p>No <b>worker</b> &amp; no queue</p>", None, "No worker & no queue"),
        (b"<style>p{}</style><script>x()</script>", None, "HTTP 400 without a body"),
        (b"", None, "HTTP 400 without a body"),
        (b" \r\n", None, "HTTP 400 without a body"),
        ({}, None, "{}"),
    ],
)
def test_error_is_read_from_each_shape(body: object, code: str | None, message: str) -> None:
    error = read(body)
    assert (error.code, error.message) == (code, message)


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer aVerySecretThing",
        "Incorrect API key provided: sk-proj-aVerySecretThing",
        "Incorrect API key provided: aVerySecretThing0123",
        '{"api_key": "aVerySecretThing"}',
        "bad token=aVerySecretThing",
    ],
)
def test_a_key_in_an_error_is_masked(text: str) -> None:
    for body in ({"message": text}, text.encode(), {"error": {"code": text}}):
        error = repr(read(body))
        assert "VerySecret" not in error
        assert "***" in error


def test_a_message_about_a_parameter_is_not_a_refusal() -> None:
    message = "safety_tolerance: expected 1 to 6; moderation: expected low or auto"
    assert not is_refusal(ProviderError(None, message))
    assert is_refusal(ProviderError("content_policy_violation", ""))
    assert is_refusal(ProviderError(None, "Your request was rejected by our Safety System."))


@given(st.binary() | VALUES.map(lambda value: json.dumps(value).encode()))
def test_any_body_gives_a_bounded_printable_line(body: bytes) -> None:
    error = read_error(HttpResponse(502, {}, body))
    assert 0 < len(error.message) <= 500
    assert error.message.isprintable()
    assert error.code is None or (0 < len(error.code) <= 100 and error.code.isprintable())


@given(st.text())
def test_sanitizing_twice_changes_nothing_more(text: str) -> None:
    assert sanitize(sanitize(text)) == sanitize(text)


def as_read(body: bytes, reader: Callable[[bytes], object]) -> str:
    """Return what a reader parses, as text that distinguishes types of numbers and allows NaN."""
    try:
        return repr(reader(body))
    except (ValueError, RecursionError):
        return "no JSON"


@given(
    st.one_of(
        VALUES.map(lambda value: json.dumps(value).encode()),
        VALUES.map(lambda value: json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")),
        st.binary(max_size=40),
        st.text('[]{}",:0123456789eE+-.truefalsn \\u', max_size=40).map(str.encode),
        st.integers().map(lambda number: str(number).encode()),
        st.floats().map(lambda number: repr(number).encode()),
        st.sampled_from(
            [b"NaN", b"[-Infinity]", b"1e400", b'"\\ud800"', b"\xef\xbb\xbf{}", b"[" * 5000]
        ),
        VALUES.map(lambda value: json.dumps(value).encode("utf-16")),
    )
)
def test_json_is_read_as_the_standard_library_reads_it(body: bytes) -> None:
    assert as_read(body, read_json) == as_read(body, json.loads)


def test_text_in_another_encoding_loses_only_its_invalid_characters() -> None:
    body = b'{"data":[{"b64_json":"batchgen-payload:0","revised_prompt":"a caf\xe9"}]}'
    item = {"b64_json": "batchgen-payload:0", "revised_prompt": "a caf\ufffd"}
    assert read_json(body) == {"data": [item]}


def test_json_that_is_nested_too_deeply_is_refused_in_any_encoding() -> None:
    for letter in (b"e", b"\xe9"):
        with pytest.raises(ValueError, match="nested too deeply"):
            read_json(b"[" * 200_000 + b'"' + letter + b'"' + b"]" * 200_000)
