"""The simulator's synchronous families."""

import array
import base64
import io
import json
import struct
import wave
from importlib import resources
from typing import Any

import aiohttp
import pytest
from PIL import Image

from batchgen.simulator.replies.sync_families import (
    CHAT,
    EMBEDDINGS,
    GENERATIONS,
    MUSIC_01,
    OCR,
    TTS,
    UPLOAD,
)
from batchgen.simulator.requests.compile_specs import family_specs_json
from batchgen.simulator.server import Simulator
from tests.shared import shared_path
from tests.simulator.client import fetch, session
from tests.simulator.families import origin, send


async def upload(simulator: Simulator, data: bytes) -> tuple[int, Any]:
    form = aiohttp.FormData({"purpose": "voice"})
    form.add_field("file", data, filename="voice.wav")
    async with session() as http, http.post(origin(simulator) + UPLOAD, data=form) as response:
        return response.status, await response.json()


def _seconds(data: bytes) -> float:
    with wave.open(io.BytesIO(data)) as file:
        return float(file.getnframes() / file.getframerate())


def test_the_data_file_is_what_the_script_writes() -> None:
    data = resources.files("batchgen.simulator.requests").joinpath("family_specs.json").read_text()
    assert data == family_specs_json(shared_path("api", "openapi"))


async def test_speech_comes_as_bytes_or_as_a_url() -> None:
    text = "Good morning, harbour. " * 4
    async with Simulator() as simulator, session() as http:
        body = {"model": "deepgram/aura-2", "text": text}
        async with http.post(origin(simulator) + TTS, json=body) as response:
            streamed, kind = await response.read(), response.content_type
        _, reply = await send(simulator, TTS, {"model": "openai/tts-1", "text": text})
        _, linked = await fetch(reply["audio"]["url"])
    assert (kind, _seconds(streamed), _seconds(linked)) == ("audio/wav", 7, 7)
    assert reply["usage"]["characters"] == len(text)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"model": "triposr", "image_url": "https://example.test/a.png"}, ["model_mesh"]),
        (
            {"model": "tencent/hunyuan-part", "mesh_url": "https://example.test/a.glb"},
            ["segmented_mesh", "mask_1_mesh", "mask_2_mesh", "mask_3_mesh"],
        ),
    ],
)
async def test_meshes_are_named_files_that_open(body: Any, names: list[str]) -> None:
    async with Simulator() as simulator:
        _, reply = await send(simulator, GENERATIONS, body)
        _, data = await fetch(reply[names[0]]["url"])
    assert [name for name in reply if name != "meta"] == names
    magic, version, length, chunk, kind = struct.unpack_from("<4sIII4s", data)
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    scene = json.loads(data[20 : 20 + chunk])
    assert scene["buffers"][0]["byteLength"] == len(data) - 28 - chunk


async def test_vectors_come_in_the_order_of_their_texts() -> None:
    async with Simulator() as simulator:
        body = {"model": "text-embedding-3-small", "input": ["a", "b"], "dimensions": 64}
        _, plain = await send(simulator, EMBEDDINGS, body)
        _, packed = await send(simulator, EMBEDDINGS, {**body, "encoding_format": "base64"})
    floats = [item["embedding"] for item in plain["data"]]
    decoded = [
        array.array("f", base64.b64decode(item["embedding"])).tolist() for item in packed["data"]
    ]
    assert floats == decoded
    assert [len(vector) for vector in floats] == [64, 64]
    assert floats[0] != floats[1]
    assert sum(value * value for value in floats[0]) == pytest.approx(1)


async def test_a_chat_replies_counts_tokens_and_sees_images() -> None:
    parts = [
        {"type": "text", "text": "What is on it?"},
        {"type": "image_url", "image_url": {"url": "https://example.test/a.png"}},
    ]
    body = {"model": "gpt-4o", "messages": [{"role": "user", "content": parts}]}
    async with Simulator() as simulator:
        _, reply = await send(simulator, CHAT, body)
        _, as_json = await send(
            simulator, CHAT, {**body, "response_format": {"type": "json_object"}}
        )
    content = reply["choices"][0]["message"]["content"]
    assert "What is on it?" in content
    assert "1 image" in content
    assert reply["usage"]["total_tokens"] > reply["usage"]["completion_tokens"] > 0
    assert json.loads(as_json["choices"][0]["message"]["content"])["images"] == 1


@pytest.mark.parametrize(
    ("model", "params"),
    [
        ("o3-mini", {"reasoning_effort": "low"}),
        ("gpt-4o-audio-preview", {"modalities": ["text"]}),
        ("gpt-4o-search-preview", {"web_search_options": {"search_context_size": "low"}}),
        ("deepseek/deepseek-r1", {"seed": 1}),
        ("meta-llama/Llama-3.2-90B-Vision-Instruct-Turbo", {"min_p": 0.5}),
        ("claude-3-7-sonnet-20250219", {"system": "Be brief.", "stop_sequences": ["."]}),
    ],
)
async def test_every_chat_model_accepts_its_own_parameters(
    model: str, params: dict[str, Any]
) -> None:
    body = {"model": model, "messages": [{"role": "user", "content": "A fox?"}]}
    async with Simulator() as simulator:
        status, reply = await send(simulator, CHAT, {**body, **params})
        refused, _ = await send(simulator, CHAT, {**body, "colour": "red"})
    assert (status, refused) == (200, 400)
    assert "A fox?" in reply["choices"][0]["message"]["content"]


async def test_a_claude_model_refuses_a_system_message() -> None:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "A fox?"}]
    body = {"model": "claude-3-7-sonnet-20250219", "messages": messages}
    async with Simulator() as simulator:
        status, reply = await send(simulator, CHAT, body)
    assert status == 400
    assert "messages.0.role: Invalid enum value" in json.dumps(reply)


@pytest.mark.parametrize(("text", "verdict"), [("A fox", "safe"), ("a weapon", "unsafe\nS9")])
async def test_a_guard_gives_its_verdict(text: str, verdict: str) -> None:
    body = {
        "model": "meta-llama/Meta-Llama-Guard-3-8B",
        "messages": [{"role": "user", "content": text}],
    }
    async with Simulator() as simulator:
        _, reply = await send(simulator, CHAT, body)
    assert reply["choices"][0]["message"]["content"] == verdict


async def test_a_document_becomes_markdown() -> None:
    document = {"type": "document_url", "document_url": "https://example.test/a.pdf"}
    async with Simulator() as simulator:
        _, reply = await send(
            simulator, OCR, {"model": "mistral/mistral-ocr-latest", "document": document}
        )
    assert [page["index"] for page in reply["pages"]] == [0, 1]
    assert [page["images"] for page in reply["pages"]] == [[], []]
    assert reply["pages"][0]["markdown"].startswith("# Page 1\n")


async def test_pages_of_a_document_include_images_on_request() -> None:
    document = {"type": "document_url", "document_url": "https://example.test/a.pdf"}
    body = {
        "model": "mistral/mistral-ocr-latest", "document": document, "include_image_base64": True,
    }  # fmt: skip
    async with Simulator() as simulator:
        _, reply = await send(simulator, OCR, body)
    for page in reply["pages"]:
        (figure,) = page["images"]
        head, _, encoded = figure["image_base64"].partition(",")
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert (head, image.size) == ("data:image/png;base64", (160, 120))
        assert f"![{figure['id']}]({figure['id']})" in page["markdown"]


async def test_music_01_returns_hexadecimal_audio_for_an_uploaded_voice() -> None:
    async with Simulator() as simulator:
        _, voice = await upload(simulator, b"RIFF" + bytes(99))
        _, other = await upload(simulator, b"RIFF" + bytes(100))
        body = {"model": "music-01", "lyrics": "La la", "refer_voice": voice["voice_id"]}
        _, reply = await send(simulator, MUSIC_01, body)
    assert _seconds(bytes.fromhex(reply["data"]["audio"])) == 3
    assert "instrumental_id" not in voice
    assert voice["voice_id"] != other["voice_id"]


async def test_music_01_requires_an_uploaded_file_and_a_reference() -> None:
    async with Simulator() as simulator:
        fileless = await send(simulator, UPLOAD, {"purpose": "voice"})
        wordless = await send(simulator, MUSIC_01, {"model": "music-01", "lyrics": "La la"})
    assert (fileless[0], "file: Required" in fileless[1]["message"]) == (400, True)
    assert (wordless[0], "refer_voice" in wordless[1]["message"]) == (400, True)


async def test_base64_of_a_document_needs_its_type() -> None:
    body = {"model": "google/gc-document-ai", "document": "JVBERi0xLjQK"}
    async with Simulator() as simulator:
        bare, _ = await send(simulator, OCR, body)
        typed, _ = await send(simulator, OCR, {**body, "mimeType": "application/pdf"})
    assert (bare, typed) == (400, 200)
