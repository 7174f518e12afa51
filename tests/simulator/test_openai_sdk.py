"""The simulator as the official SDK sees it."""

import base64

import openai
import pytest

from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import SimulatorSettings
from tests.simulator.client import fetch, opened, sdk


@pytest.mark.parametrize("size", ["256x256", "512x512", "1024x1792"])
async def test_urls_lead_to_images_of_the_requested_size(size: str) -> None:
    async with Simulator() as simulator, sdk(simulator) as client:
        # The SDK's own list of sizes is narrower than the vendor's.
        reply = await client.images.generate(
            model="dall-e-2", prompt="A fox", n=2, extra_body={"size": size}
        )
        urls = [item.url or "" for item in reply.data or []]
        files = [await fetch(url) for url in urls]
    assert [status for status, _ in files] == [200, 200]
    assert [opened(data).size for _, data in files] == [tuple(map(int, size.split("x")))] * 2
    assert files[0] != files[1]


async def test_base64_holds_the_same_image_as_the_url() -> None:
    async with Simulator() as simulator, sdk(simulator) as client:
        inline = await client.images.generate(
            model="dall-e-3", prompt="A fox", size="1024x1024", response_format="b64_json"
        )
        linked = await client.images.generate(model="dall-e-3", prompt="A fox", size="1024x1024")
        assert inline.data
        assert linked.data
        _, file = await fetch(linked.data[0].url or "")
    assert base64.b64decode(inline.data[0].b64_json or "", validate=True) == file
    assert opened(file).size == (1024, 1024)
    assert (inline.data[0].revised_prompt or "").startswith("A fox")


async def test_a_request_without_a_model_is_for_dall_e_2() -> None:
    async with Simulator() as simulator, sdk(simulator) as client:
        reply = await client.images.with_raw_response.generate(prompt="A fox", size="256x256")
    assert reply.status_code == 201
    assert reply.headers["x-aimlapi-usd-spent"] == "0.02600000"


async def test_models_are_listed() -> None:
    async with Simulator() as simulator, sdk(simulator) as client:
        names = [model.id async for model in client.models.list()]
    assert {"dall-e-3", "flux/schnell", "openai/gpt-image-2"} <= set(names)


async def test_a_wrong_key_is_an_authentication_error() -> None:
    settings = SimulatorSettings(api_keys=frozenset({"right"}))
    async with Simulator(settings) as simulator:
        async with sdk(simulator, "wrong") as client:
            with pytest.raises(openai.AuthenticationError, match="API key is missing"):
                await client.images.generate(prompt="A fox")
        async with sdk(simulator, "right") as client:
            assert (await client.images.generate(prompt="A fox")).data


async def test_a_wrong_parameter_is_a_bad_request_in_the_vendors_shape() -> None:
    async with Simulator() as simulator, sdk(simulator) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="A fox", extra_body={"size": "1x1"})
    body = caught.value.body
    assert isinstance(body, dict)
    assert sorted(body) == ["message", "path", "requestId", "statusCode", "timestamp"]
    assert (body["path"], body["statusCode"]) == ("/v1/images/generations", 400)
    assert "size: Invalid enum value" in body["message"]


async def test_a_refused_word_is_a_content_policy_violation() -> None:
    async with Simulator() as simulator, sdk(simulator) as client:
        with pytest.raises(openai.BadRequestError) as caught:
            await client.images.generate(prompt="A Forbidden-Word, please")
        assert simulator.stats()["generations"] == 0
    assert caught.value.code == "content_policy_violation"


async def test_spent_credit_is_permission_denied() -> None:
    async with (
        Simulator(SimulatorSettings(credit=1)) as simulator,
        sdk(simulator) as client,
    ):
        assert (await client.images.generate(prompt="A fox")).data
        with pytest.raises(openai.PermissionDeniedError, match="run out of credits"):
            await client.images.generate(prompt="A fox")


async def test_exceeding_the_rate_is_a_rate_limit_error_with_retry_after() -> None:
    async with Simulator(SimulatorSettings(rpm=1)) as simulator, sdk(simulator) as client:
        assert (await client.images.generate(prompt="A fox")).data
        with pytest.raises(openai.RateLimitError) as caught:
            await client.images.generate(prompt="A fox")
    assert 55 <= int(caught.value.response.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("429", openai.RateLimitError),
        ("500", openai.InternalServerError),
        ("503", openai.InternalServerError),
        ("409", openai.ConflictError),
    ],
)
async def test_a_status_can_be_injected(fault: str, error: type[openai.APIStatusError]) -> None:
    settings = SimulatorSettings(faults={fault: 1.0})
    async with Simulator(settings) as simulator, sdk(simulator) as client:
        with pytest.raises(error) as caught:
            await client.images.generate(prompt="A fox")
        assert simulator.stats()["generations"] == 0
    assert caught.value.response.headers.get("retry-after") == ("1" if fault == "429" else None)


@pytest.mark.parametrize("fault", ["reset", "lost"])
async def test_a_connection_that_breaks_is_a_connection_error(fault: str) -> None:
    settings = SimulatorSettings(faults={fault: 1.0})
    async with Simulator(settings) as simulator, sdk(simulator) as client:
        with pytest.raises(openai.APIConnectionError):
            await client.images.generate(prompt="A fox")
        stats = simulator.stats()
    assert stats["requests"] == {fault: 1}
    assert stats["generations"] == (1 if fault == "lost" else 0)
