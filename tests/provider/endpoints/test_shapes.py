"""Replies of images as services really send them: any names, wrapped, or the file itself."""

import base64
import hashlib
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.http.files import checked_file
from batchgen.http.payload_decoder import PayloadDecoder
from batchgen.provider.endpoints import ENDPOINTS, images
from batchgen.provider.endpoints.success_errors import shape_of
from batchgen.storage.spool import Spool
from batchgen.types import (
    Finished,
    HttpResponse,
    Payload,
    RemotePayload,
    Spooled,
    Task,
    Unusable,
)
from tests.given import a_png, a_task

IMAGE, OTHER = a_png(), a_png(8, 8)
B64, B64_OTHER = (base64.b64encode(image).decode() for image in (IMAGE, OTHER))
URL = "https://cdn.example.test/a.png"
PLAIN = "https://cdn.example.test/a/b?id=1"
ECHO = "https://user.example.test/cat.png"


def response(body: str | bytes, headers: dict[str, str] | None = None) -> HttpResponse:
    decoder = PayloadDecoder(lambda: Spool("unused"), max_payload_bytes=10**8)
    decoder.feed(body if isinstance(body, bytes) else body.encode())
    rest, payloads = decoder.finish()
    return HttpResponse(200, headers or {}, rest, tuple(map(checked_file, payloads)))


def read(body: Any, task: Task | None = None) -> Any:
    text = body if isinstance(body, str) else json.dumps(body)
    return images.parse_for_task(task or a_task(), response(text))


def found(body: Any, task: Task | None = None) -> list[str | bytes]:
    result = read(body, task)
    assert isinstance(result, Finished), result
    return [content(payload) for payload in result.payloads]


def content(payload: Payload) -> str | bytes:
    match payload:
        case RemotePayload(url):
            return url
        case _:
            return payload.data or b""


SHAPES: dict[str, tuple[Any, list[str | bytes]]] = {
    "MiniMax": (
        {"data": {"image_urls": [URL, PLAIN]}, "base_resp": {"status_code": 0}},
        [URL, PLAIN],
    ),
    "Automatic1111": ({"images": [B64], "parameters": {}, "info": "{}"}, [IMAGE]),
    "Hyperbolic": ({"images": [{"index": 0, "image": B64, "random_seed": 5}]}, [IMAGE]),
    "Replicate": (
        {"id": "x", "status": "succeeded", "output": [URL], "urls": {"get": PLAIN}},
        [URL],
    ),
    "Replicate, one": ({"status": "succeeded", "input": {"image": ECHO}, "output": URL}, [URL]),
    "Stability": ({"artifacts": [{"base64": B64, "finishReason": "SUCCESS", "seed": 3}]}, [IMAGE]),
    "Google": ({"predictions": [{"mimeType": "image/png", "bytesBase64Encoded": B64}]}, [IMAGE]),
    "Gemini": (
        {"candidates": [{"content": {"parts": [{"text": "Here"}, {"inlineData": {"data": B64}}]}}]},
        [IMAGE],
    ),
    "OpenRouter": (
        {"choices": [{"message": {"content": "", "images": [{"image_url": {"url": URL}}]}}]},
        [URL],
    ),
    "OpenRouter, data URL": (
        {
            "choices": [
                {"message": {"images": [{"image_url": {"url": f"data:image/png;base64,{B64}"}}]}}
            ]
        },
        [IMAGE],
    ),
    "nested url": ({"data": [{"url": {"url": URL}}]}, [URL]),
    "base64 under url": ({"data": [{"url": B64}]}, [IMAGE]),
    "an address under b64_json": ({"data": [{"b64_json": PLAIN}]}, [PLAIN]),
    "a path": ({"data": [{"url": "/files/a.png?x=1"}]}, ["/files/a.png?x=1"]),
    "a path under b64_json": ({"data": [{"b64_json": "/files/a.png"}]}, ["/files/a.png"]),
    "without a scheme": ({"data": [{"url": "//cdn.example.test/a"}]}, ["//cdn.example.test/a"]),
    "relative": ({"data": [{"url": "files/a.webp"}]}, ["files/a.webp"]),
    "result": ({"result": {"image": B64}}, [IMAGE]),
    "results": ({"results": [{"image_url": PLAIN}]}, [PLAIN]),
    "image": ({"image": B64}, [IMAGE]),
    "image object": ({"image": {"url": PLAIN}}, [PLAIN]),
    "b64_json at the top": ({"created": 1, "b64_json": B64}, [IMAGE]),
    "image_url at the top": ({"image_url": PLAIN}, [PLAIN]),
    "a list": ([{"url": URL}, {"b64_json": B64}], [URL, IMAGE]),
    "a text": (json.dumps(URL), [URL]),
    "an address alone": (URL + "\n", [URL]),
    "other names, bytes": ({"foo": {"bar": [{"baz": B64}, {"baz": B64_OTHER}]}}, [IMAGE, OTHER]),
    "other names, address": ({"foo": {"picture_link": PLAIN, "bar": URL}}, [URL]),
    "other names, hint": ({"foo": {"pictureLink": PLAIN, "webhook": ECHO}}, [PLAIN]),
    "Markdown": ({"choices": [{"message": {"content": f"Done: ![a fox]({PLAIN})"}}]}, [PLAIN]),
    "escaped slashes": (json.dumps({"images": [B64]}).replace("/", "\\/"), [IMAGE]),
    "a better one in the item": ({"data": [{"b64_json": "@", "url": URL}]}, [URL]),
}


@pytest.mark.parametrize("name", SHAPES)
def test_the_images_of_a_reply_are_found(name: str) -> None:
    body, expected = SHAPES[name]
    assert found(body) == expected


@pytest.mark.parametrize(
    "body",
    [
        {"image": ECHO, "data": [{"url": URL}]},
        {"image_url": ECHO, "output": [URL]},
        {"input": {"image_url": ECHO}, "foo": URL},
        {"data": [{"url": URL, "thumbnail_url": ECHO, "preview": ECHO, "cover": {"url": ECHO}}]},
        {"docs": ECHO, "webhook": ECHO, "status_url": ECHO, "foo_image": URL},
        {"init_image": ECHO, "mask": ECHO, "reference_images": [ECHO], "foo": {"file": URL}},
    ],
)
def test_what_is_no_result_is_left_out(body: Any) -> None:
    assert found(body) == [URL]


def test_an_address_that_the_task_sent_is_no_result() -> None:
    task = a_task(params={"image_url": ECHO, "more": [{"url": PLAIN}]})
    assert isinstance(read({"image": ECHO, "images": [PLAIN]}, task), Unusable)
    assert found({"images": [ECHO, URL]}, task) == [URL]


@pytest.mark.parametrize(
    "body",
    [
        {"id": "t", "status": "processing", "url": PLAIN},
        {"status": "starting", "output": None, "urls": {"get": PLAIN, "cancel": PLAIN}},
        {"request_id": "r", "status": "IN_QUEUE", "status_url": PLAIN, "response_url": PLAIN},
        {"request_id": "r", "response_url": PLAIN, "cancel_url": PLAIN},
        {"task_id": "t", "input": {"image": URL}},
        {"error": {"message": "no", "doc_url": URL}, "image_url": URL},
    ],
)
def test_a_reply_that_names_a_job_or_an_error_has_no_image(body: Any) -> None:
    assert isinstance(read(body), Unusable)


WRAPPED: dict[str, str] = {
    "comments": f': PROCESSING\n\n: "still" {{it}}\n\n{{"data": [{{"b64_json": "{B64}"}}]}}',
    "event": f'event: image_generation.completed\ndata: {{"b64_json": "{B64}"}}\n\n',
    "data and an end": f'data: {{"data": [{{"b64_json": "{B64}"}}]}}\n\ndata: [DONE]\n\n',
    "partial images": "".join(
        f'event: image_generation.{kind}\ndata: {{"type": "image_generation.{kind}", '
        f'"b64_json": "{text}"}}\n\n'
        for kind, text in (
            ("partial_image", B64_OTHER), ("partial_image", B64_OTHER), ("completed", B64),
        )
    ),
    "progress": f'data: {{"progress": 50}}\n\ndata: {{"images": ["{B64}"], "progress": 100}}\n\n',
    "carriage returns": f'data: {{"image": "{B64}"}}\r\n\r\n',
    "no blank lines": f'data: {{"progress": 5}}\ndata: {{"image": "{B64}"}}\ndata: [DONE]\n',
    "several lines": f'data: {{"data": [\ndata: {{"b64_json": "{B64}"}}]}}\n\n',
    "a guard": f""")]}}',\n{{"image": "{B64}"}}""",
    "a call": f'callback({{"image": "{B64}"}});',
    "a mark": f'\ufeff{{"image": "{B64}"}}',
    "JSON lines": f'{{"status": "queued"}}\n{{"status": "running"}}\n{{"image": "{B64}"}}\n',
    "text behind it": f'{{"image": "{B64}"}}\n\x1e-- 0.3 s',
    "blanks before it": " \n" * 1000 + f'{{"image": "{B64}"}}',
}  # fmt: skip


@pytest.mark.parametrize("name", WRAPPED)
def test_json_that_is_wrapped_is_read(name: str) -> None:
    assert found(WRAPPED[name]) == [IMAGE]


def test_every_image_of_a_stream_is_read() -> None:
    events = [
        f'data: {{"type": "image_generation.completed", "b64_json": "{text}"}}\n\n'
        for text in (B64, B64_OTHER)
    ]
    assert found("".join(events)) == [IMAGE, OTHER]
    indexed = [f'data: {{"index": {n}, "url": "{URL}?{n}"}}\n\n' for n in range(3)]
    assert found("".join(indexed)) == [f"{URL}?{n}" for n in range(3)]


def test_a_stream_that_ends_before_its_image_is_complete_has_none() -> None:
    body = f'event: image_generation.partial_image\ndata: {{"b64_json": "{B64}"}}\n\n'
    assert isinstance(read(body), Unusable)


def test_an_error_in_a_stream_is_the_result() -> None:
    result = read('event: error\ndata: {"code": "no_credit", "message": "no credit left"}\n\n')
    assert result == Unusable("remote_failed", "no credit left", "no_credit")


@pytest.mark.parametrize(
    ("body", "shape"),
    [
        ("", "broken"),
        (" \n", "broken"),
        ({"created": 1, "data": []}, "empty"),
        ({"images": []}, "empty"),
        ({"data": [], "task_id": "t"}, "unknown"),
        ({}, "unknown"),
        ("<!doctype html><title>Welcome</title>", "web_page"),
        ("\ufeff <html>", "web_page"),
        ('{"data": [{"url": "https://cdn.ex', "broken"),
        (f'{{"data": [{{"b64_json": "{B64}"}}, {{', "broken"),
        ({"task_id": "t"}, "unknown"),
        ("service started", "unknown"),
    ],
)
def test_a_reply_without_an_image_has_a_shape(body: Any, shape: str) -> None:
    result = read(body)
    assert isinstance(result, Unusable)
    assert result.kind == "bad_response"
    assert shape_of(response(body if isinstance(body, str) else json.dumps(body))) == shape


def test_one_broken_item_costs_itself_only() -> None:
    cut = base64.b64encode(IMAGE[: len(IMAGE) // 2]).decode()
    broken = [{"b64_json": "@@not base64@@"}, {"b64_json": cut}, {"b64_json": "", "url": None}]
    filtered = {"finish_reason": "CONTENT_FILTERED"}
    result = read({"data": [broken[0], {"b64_json": B64}, *broken[1:], filtered, {"url": URL}]})
    assert isinstance(result, Finished)
    assert [content(payload) for payload in result.payloads] == [IMAGE, URL]
    assert [reason[:40] for reason in result.missing] == [
        "neither an http(s) URL nor complete base",
        "the file is truncated: a PNG without its",
        'an item has neither a URL nor base64: {"',
        "CONTENT_FILTERED",
    ]


def a_file(data: bytes, media_type: str, cut: str = "") -> HttpResponse:
    digest = hashlib.sha256(data).hexdigest()
    file = Spooled("p", len(data), digest, data[:4096], data, media_type, cut)
    return HttpResponse(200, {}, b"", (file,))


RAW = {
    "images": (IMAGE, "image/png"), "edits": (IMAGE, "text/plain"), "tts": (bytes(9), "audio/pcm"),
    "video": (b"\0\0\0\x18ftypmp42" + bytes(99), "video/mp4"), "music": (b"ID3\3" + bytes(99), ""),
    "3d": (b"glTF\2\0\0\0" + bytes(99), "application/octet-stream"),
}  # fmt: skip


@pytest.mark.parametrize("family", RAW)
def test_a_body_that_is_a_file_is_the_result(family: str) -> None:
    whole = a_file(*RAW[family])
    assert ENDPOINTS[family].parse_response(whole) == Finished(whole.payloads)
    result = ENDPOINTS[family].parse_response(a_file(*RAW[family], cut="it ends early"))
    assert isinstance(result, Unusable)
    assert "truncated: it ends early" in result.message


def test_a_body_of_an_unknown_type_is_not_a_result() -> None:
    result = images.parse_response(a_file(b"\1\2\3", "application/octet-stream"))
    assert isinstance(result, Unusable)
    assert "not an image" in result.message


KEYS = st.sampled_from(
    ["data", "images", "output", "url", "b64_json", "image", "message", "content", "status", "x"]
)
TEXTS = st.sampled_from(["batchgen-payload:0", "batchgen-broken:0", URL, "/a.png", "queued", ""])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=25,
)


@given(VALUES)
def test_no_json_raises_an_error(value: Any) -> None:
    body = json.dumps(value).encode()
    for family in ("images", "video", "music", "tts", "3d"):
        ENDPOINTS[family].parse_response(HttpResponse(200, {}, body))


@given(
    st.lists(
        st.sampled_from(
            ["data: ", "event: a", "\n", "\n\n", '{"image": "/a.png"}', "{", "}", "[1]", ": x", '"']
        ),
        max_size=12,
    )
)
def test_no_wrapped_text_raises_an_error(parts: list[str]) -> None:
    images.parse_response(HttpResponse(200, {}, "".join(parts).encode()))


def test_deeply_nested_json_raises_no_error() -> None:
    for body in ("[" * 5000, '{"data":' * 300 + '"/a.png"' + "}" * 300):
        images.parse_response(HttpResponse(200, {}, body.encode()))


def test_a_large_text_is_searched_once() -> None:
    body = io.StringIO()
    body.write("x [" * 100_000)
    assert isinstance(read(body.getvalue()), Unusable)
