"""Faults, and that the same seed repeats them."""

import asyncio
import base64
import json
from collections import Counter

import aiohttp
import pytest
from yarl import URL

from batchgen.errors import UsageError
from batchgen.simulator.fault_draws import FaultDraws
from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import SimulatorSettings
from tests.simulator.client import fetch, post, session, until_in_flight

FOX = {"prompt": "A fox", "size": "256x256"}


async def _raw(simulator: Simulator) -> tuple[int, bytes, str]:
    url = f"{simulator.base_url}/images/generations"
    async with session() as http, http.post(url, json=FOX) as response:
        return response.status, await response.read(), response.content_type


def _with_fault(fault: str) -> Simulator:
    return Simulator(SimulatorSettings(faults={fault: 1.0}))


async def test_html_comes_with_status_200() -> None:
    async with _with_fault("html") as simulator:
        status, body, content_type = await _raw(simulator)
        assert simulator.stats()["generations"] == 0
    assert (status, content_type) == (200, "text/html")
    assert body.startswith(b"<!doctype html>")


async def test_empty_has_no_data() -> None:
    async with _with_fault("empty") as simulator:
        status, body, _ = await _raw(simulator)
    assert (status, json.loads(body)["data"]) == (200, [])


async def test_bad_base64_cannot_be_decoded() -> None:
    async with _with_fault("badb64") as simulator:
        _, body, _ = await _raw(simulator)
        assert simulator.stats()["generations"] == 1
    with pytest.raises(ValueError, match="base64"):
        base64.b64decode(json.loads(body)["data"][0]["b64_json"], validate=True)


async def test_text_replaces_the_image() -> None:
    async with _with_fault("text") as simulator:
        _, body, _ = await _raw(simulator)
    assert b"not an image" in base64.b64decode(json.loads(body)["data"][0]["b64_json"])


async def test_a_truncated_body_is_shorter_than_its_content_length() -> None:
    async with _with_fault("truncated") as simulator:
        with pytest.raises(aiohttp.ClientPayloadError):
            await _raw(simulator)
        stats = simulator.stats()
    assert (stats["requests"], stats["generations"]) == ({"truncated": 1}, 1)


async def test_a_stalled_request_ends_when_its_client_disconnects() -> None:
    async with _with_fault("stall") as simulator:
        pending = asyncio.create_task(_raw(simulator))
        await until_in_flight(simulator, 1)
        pending.cancel()
        await until_in_flight(simulator, 0)
        assert simulator.stats()["requests"] == {"abandoned": 1}


async def test_a_stalled_request_does_not_delay_the_shutdown() -> None:
    async with _with_fault("stall") as simulator:
        pending = asyncio.create_task(_raw(simulator))
        await until_in_flight(simulator, 1)
    with pytest.raises(aiohttp.ClientConnectionError):
        await pending
    assert simulator.stats()["requests"] == {"stall": 1}


@pytest.mark.parametrize(("fault", "status"), [("file404", 404), ("file500", 500)])
async def test_files_can_fail_while_images_succeed(fault: str, status: int) -> None:
    async with _with_fault(fault) as simulator:
        _, body, _ = await post(simulator, FOX)
        assert (await fetch(body["data"][0]["url"]))[0] == status
        assert simulator.stats()["file_requests"] == {str(status): 1}


async def test_an_api_key_sent_to_the_file_host_is_counted() -> None:
    async with Simulator() as simulator:
        _, body, _ = await post(simulator, FOX)
        url = body["data"][0]["url"]
        assert URL(url).port != URL(simulator.base_url).port
        assert (await fetch(url, {"Authorization": "Bearer a-key"}))[0] == 403
        assert simulator.stats()["leaked_keys"] == 1


async def test_a_reencoded_query_finds_no_file() -> None:
    async with Simulator() as simulator:
        _, body, _ = await post(simulator, FOX)
        url = body["data"][0]["url"]
        assert (await fetch(url))[0] == 200
        assert (await fetch(url.replace("%3D", "=")))[0] == 404


async def test_unknown_paths_reply_in_the_vendors_shape() -> None:
    async with Simulator() as simulator, session() as http:
        async with http.get(f"{simulator.base_url}/nothing") as response:
            assert (response.status, (await response.json())["statusCode"]) == (404, 404)
        async with http.get(f"{simulator.base_url}/images/generations") as response:
            assert response.status == 405


@pytest.mark.parametrize(
    "path", ["/v1/images/generations", "/images/generations", "/v1/images/generations/with-url"]
)
async def test_the_vendors_older_paths_are_served_too(path: str) -> None:
    async with Simulator() as simulator, session() as http:
        url = simulator.base_url.removesuffix("/v1") + path
        async with http.post(url, json=FOX) as response:
            assert response.status == 201


async def test_a_port_in_use_is_reported() -> None:
    async with Simulator() as simulator:
        port = URL(simulator.base_url).port or 0
        with pytest.raises(UsageError, match=f"cannot listen on port {port}"):
            async with Simulator(SimulatorSettings(port=port)):
                pass


def test_faults_have_the_given_share_and_repeat_for_a_seed() -> None:
    faults = {"429": 0.1, "reset": 0.05, "file404": 0.5}
    first, again, other = FaultDraws(1, faults), FaultDraws(1, faults), FaultDraws(2, faults)
    drawn = [first.generation(f"task {n}").fault for n in range(4000)]
    # The order of arrival makes no difference.
    assert drawn == [again.generation(f"task {n}").fault for n in reversed(range(4000))][::-1]
    assert drawn != [other.generation(f"task {n}").fault for n in range(4000)]
    counts = Counter(drawn)
    assert 300 < counts["429"] < 500
    assert 130 < counts["reset"] < 270
    assert counts["file404"] == 0


def test_the_fault_of_a_second_attempt_is_independent_of_the_first() -> None:
    draws = FaultDraws(0, {"500": 0.5})
    pairs = Counter(
        (draws.generation(f"task {n}").fault, draws.generation(f"task {n}").fault)
        for n in range(1000)
    )
    assert len(pairs) == 4
    assert min(pairs.values()) > 180
