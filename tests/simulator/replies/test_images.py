"""Every model replies to a minimal request, in the shape of the vendor's samples."""

from typing import Any

import pytest

from batchgen.simulator.requests.schema import Json, Schema
from batchgen.simulator.requests.specs import image_specs
from batchgen.simulator.server import Simulator
from tests.simulator.client import fetch, opened, post

SOME_URL = "https://example.test/a.png"


def _minimal(schema: Schema) -> Json:
    """Return the smallest value that a schema allows."""
    schema = schema.any_of[0] if schema.any_of else schema
    if schema.enum:
        return schema.enum[0]
    if schema.type == "array":
        return [SOME_URL]
    return SOME_URL if schema.format == "uri" else "A fox"


async def _generate(model: str, **params: Json) -> Any:
    async with Simulator() as simulator:
        status, body, _ = await post(simulator, {"model": model, "prompt": "A fox", **params})
    assert status in (200, 201), body
    return body


@pytest.mark.parametrize("model", sorted(image_specs()))
async def test_a_minimal_request_of_every_model_returns_an_image(model: str) -> None:
    schema = image_specs()[model]
    request = {name: _minimal(schema.properties[name]) for name in schema.required}
    async with Simulator() as simulator:
        status, body, headers = await post(simulator, {"model": model, **request})
        assert status == (201 if model.startswith("dall-e-") else 200), body
        item = (body.get("data") or body["images"])[0]
        status, data = await fetch(item["url"])
    assert status == 200
    assert min(opened(data).size) >= 512
    usage = body["meta"]["usage"]
    spent = usage.get("credits_used", usage.get("tokens_used"))
    assert spent == int(headers["x-aimlapi-credits-used"])
    assert usage["usd_spent"] == pytest.approx(float(headers["x-aimlapi-usd-spent"]))


async def test_flux_lists_images_with_their_sizes() -> None:
    body = await _generate("flux/schnell", num_images=2, image_size={"width": 64, "height": 96})
    assert [(image["width"], image["height"]) for image in body["images"]] == [(64, 96)] * 2
    assert body["has_nsfw_concepts"] == [False, False]
    assert body["prompt"] == "A fox"


async def test_some_seeds_are_beyond_what_a_float_holds() -> None:
    async with Simulator() as simulator:
        replies = [
            await post(simulator, {"model": "flux/schnell", "prompt": f"A fox {n}"})
            for n in range(20)
        ]
    beyond = [body["seed"] for _, body, _ in replies if body["seed"] > 2**53]
    assert 0 < len(beyond) < 20


async def test_a_given_seed_is_returned() -> None:
    assert (await _generate("flux/dev", seed=42))["seed"] == 42


async def test_seedream_v4_lists_its_images_twice() -> None:
    body = await _generate("bytedance/seedream-v4-text-to-image", num_images=2)
    assert body["images"] == body["data"]
    assert len(body["data"]) == 2
    assert body["meta"]["usage"]["tokens_used"] == 126_000


async def test_sync_mode_returns_a_data_url() -> None:
    body = await _generate("flux/srpo", sync_mode=True)
    assert body["images"][0]["url"].startswith("data:image/jpeg;base64,")


async def test_imagen_returns_base64_if_no_url_is_requested() -> None:
    body = await _generate("imagen-3.0-generate-002", convert_base64_to_url=False)
    assert sorted(body["data"][0]) == ["b64_json", "mime_type", "prompt"]


async def test_recraft_returns_webp() -> None:
    async with Simulator() as simulator:
        _, body, _ = await post(simulator, {"model": "recraft-v3", "prompt": "A fox"})
        _, data = await fetch(body["images"][0]["url"])
    assert body["images"][0]["content_type"] == "image/webp"
    assert opened(data).format == "WEBP"


async def test_gpt_image_returns_its_tokens_and_settings() -> None:
    body = await _generate("openai/gpt-image-1", output_format="jpeg", quality="low")
    assert body["usage"]["total_tokens"] == body["usage"]["input_tokens"] + 1568
    assert (body["output_format"], body["quality"], body["size"]) == ("jpeg", "low", "1024x1024")


async def test_seedream_returns_the_size_of_each_item() -> None:
    body = await _generate("bytedance/seedream-4-5", image_size="4K")
    assert body["data"][0]["size"] == "4096x4096"


async def test_a_valid_request_id_of_the_client_is_echoed() -> None:
    async with Simulator() as simulator:
        request = {"prompt": "A fox"}
        _, _, good = await post(simulator, request, headers={"X-Client-Request-Id": "row-1"})
        _, _, bad = await post(simulator, request, headers={"X-Client-Request-Id": "row 1"})
    assert good["x-client-request-id"] == "row-1"
    assert "x-client-request-id" not in bad
