"""Requests that contain local files: chat, OCR, music-01's uploads."""

import json
from pathlib import Path
from typing import Any

import pytest

from batchgen.http.request_body import encode_body
from batchgen.job import PROVIDERS, Job
from batchgen.provider.adapter import Adapter
from batchgen.provider.endpoints import chat, music, ocr
from batchgen.types import Finished, HttpRequest, HttpResponse, Input, Json, LocalFile, Unusable
from tests.given import a_png, a_task

ADAPTER = Adapter(Job("j", PROVIDERS["aimlapi"], Path("out")))


@pytest.fixture
def cat(tmp_path: Path) -> LocalFile:
    (tmp_path / "cat.png").write_bytes(a_png())
    return LocalFile(tmp_path / "cat.png", "pics/cat.png", len(a_png()), "", "image/png")


def sent(request: HttpRequest) -> Any:
    """Return the JSON of a request, with each file's name in place of its base64."""
    parts = encode_body(request).parts
    return json.loads(b"".join(p if isinstance(p, bytes) else p.file.name.encode() for p in parts))


def test_images_follow_the_prompt_in_the_users_message(cat: LocalFile) -> None:
    params: dict[str, Json] = {"image_urls": ["pics/cat.png", "https://x.test/b.png"]}
    inputs: dict[str, Input] = {"image_urls": (cat, "https://x.test/b.png")}
    task = a_task(model="openai/gpt-4o", params=params, inputs=inputs)
    (message,) = sent(chat.build_request(task))["messages"]
    urls = [part["image_url"]["url"] for part in message["content"][1:]]
    assert message["content"][0] == {"type": "text", "text": task.prompt}
    assert urls == ["data:image/png;base64,pics/cat.png", "https://x.test/b.png"]


def test_the_prompt_of_a_row_with_messages_follows_them() -> None:
    messages: list[Json] = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Good day"},
    ]
    task = a_task(params={"messages": messages, "system": "Be brief."}, prompt="")
    system = {"role": "system", "content": "Be brief."}
    assert sent(chat.build_request(task))["messages"] == [system, *messages]
    with_prompt = a_task(params={"messages": messages}, prompt="And now?")
    last = {"role": "user", "content": "And now?"}
    assert sent(chat.build_request(with_prompt))["messages"] == [*messages, last]


@pytest.mark.parametrize(
    ("document", "kind"),
    [
        ("https://x.test/a.pdf", "document_url"),
        ("https://x.test/a.JPG?sig=1#2", "image_url"),
        ("https://x.test/scan", "document_url"),
        ("data:image/png;base64,AAAA", "image_url"),
        ("http://[", "document_url"),
    ],
)
def test_the_type_of_a_document_follows_from_its_url(document: str, kind: str) -> None:
    task = a_task(model="mistral/mistral-ocr-latest", prompt="", params={"document": document})
    assert sent(ocr.build_request(task))["document"] == {"type": kind, kind: document}


def test_a_local_document_is_sent_as_a_data_url_or_as_bare_base64(cat: LocalFile) -> None:
    for model in ("mistral/mistral-ocr-latest", "zhipu/glm-ocr"):
        task = a_task(model=model, prompt="", params={}, inputs={"document": cat})
        url = "data:image/png;base64,pics/cat.png"
        assert sent(ocr.build_request(task))["document"] == {"type": "image_url", "image_url": url}

    task = a_task(model="google/gc-document-ai", prompt="", params={}, inputs={"document": cat})
    body = sent(ocr.build_request(task))
    assert (body["document"], body["mimeType"]) == ("pics/cat.png", "image/png")


def a_song(**inputs: LocalFile) -> Any:
    params: dict[str, Json] = {name: file.name for name, file in inputs.items()}
    return a_task(endpoint="music", model="music-01", prompt="La la", params=params, inputs=inputs)


@pytest.mark.parametrize(
    ("name", "purpose", "required_ids"),
    [
        ("refer_voice", "voice", ("voice_id",)),
        ("refer_instrumental", "instrumental", ("instrumental_id",)),
        ("refer_song", "song", ("voice_id", "instrumental_id")),
    ],
)
def test_a_recording_is_uploaded_before_the_song(
    cat: LocalFile, name: str, purpose: str, required_ids: tuple[str, ...]
) -> None:
    upload, song = ADAPTER.requests(a_song(**{name: cat}))
    assert (upload.path, upload.multipart) == ("/v2/generate/audio/minimax/upload", True)
    assert (upload.body, upload.required_ids) == ({"purpose": purpose, "file": cat}, required_ids)
    assert song.path == "/v2/generate/audio/minimax/generate"
    assert song.body.keys() == {"model", "lyrics"} | {
        {"voice_id": "refer_voice", "instrumental_id": "refer_instrumental"}[id_name]
        for id_name in required_ids
    }


def test_the_id_of_an_earlier_upload_is_sent_unchanged() -> None:
    task = a_task(endpoint="music", model="music-01", params={"refer_voice": "vocal-1"})
    (song,) = ADAPTER.requests(task)
    assert song.body["refer_voice"] == "vocal-1"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"voice_id": "v-1", "base_resp": {"status_code": 0, "status_msg": ""}}, None),
        ({"base_resp": {"status_code": 0}}, "no voice_id in the reply"),
        ({"voice_id": 7}, "no voice_id in the reply"),
        ({"voice_id": "v", "base_resp": {"status_code": 1004, "status_msg": "no"}}, "no"),
        ([], "not a JSON object"),
    ],
)
def test_an_upload_must_return_its_ids(cat: LocalFile, body: Any, message: str | None) -> None:
    (upload,) = music.build_uploads(a_song(refer_voice=cat))
    result = music.parse_upload(upload, HttpResponse(200, {}, json.dumps(body).encode()))
    if message is None:
        assert result == Finished((), cost_usd=0.0, uploads=(("voice_id", "v-1"),))
    else:
        assert isinstance(result, Unusable)
        assert message in result.message
