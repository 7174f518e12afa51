"""Remote jobs: submitted, polled, done, charged once."""

import base64
from typing import Any

import aiohttp
import pytest

from batchgen.simulator.replies.async_families import MUSIC, SPEECH, UNIFIED
from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import Latency, SimulatorSettings, parse_faults
from tests.given import a_png
from tests.simulator.client import fetch, session
from tests.simulator.families import get, origin, send

_OLD = "/v2/generate/video"
LUMA = f"{_OLD}/luma-ai/generation"
VIDEOS = [
    (UNIFIED, {"model": "google/veo3"}),
    (UNIFIED, {"model": "bytedance/seedance-1-0-lite-t2v"}),
    (f"{_OLD}/kling/generation", {"model": "kling-video/v1/standard/text-to-video"}),
    (f"{_OLD}/google/generation", {"model": "veo2"}),
    (f"{_OLD}/alibaba/generation", {"model": "wan/v2.1/1.3b/text-to-video"}),
    (f"{_OLD}/minimax/generation", {"model": "video-01"}),
    (LUMA, {"model": "ray-2"}),
    (
        f"{_OLD}/runway/generation",
        {"model": "gen3a_turbo", "image_url": "https://example.test/a.png"},
    ),
]


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _id(submitted: dict[str, Any]) -> str:
    return str(submitted.get("id") or submitted["generation_id"])


def _url(video: Any) -> str:
    match video:
        case [first, *_]:
            return _url(first)
        case {"url": str(url)} | str(url):
            return url
    raise AssertionError(video)


@pytest.mark.parametrize(("path", "body"), VIDEOS, ids=[path for path, _ in VIDEOS])
async def test_a_video_is_queued_made_and_fetched(path: str, body: dict[str, Any]) -> None:
    clock = Clock()
    settings = SimulatorSettings(job_duration=Latency(60))
    async with Simulator(settings, monotonic=clock) as simulator:
        status, submitted = await send(simulator, path, {**body, "prompt": "A fox in the snow"})
        words = []
        for _ in range(3):
            words.append(await get(simulator, path, generation_id=_id(submitted)))
            clock.now += 30
        data = (await fetch(_url(words[-1][1]["video"])))[1]

    assert (status, [code for code, _ in words]) == (201, [200, 200, 200])
    statuses = [body.get("status") or body["state"] for _, body in words]
    assert statuses[0] in ("queued", "waiting")
    assert statuses[1] in ("generating", "active", "processing", "dreaming")
    assert statuses[2] in ("completed", "succeeded")
    assert words[0][1]["video"] is None
    assert data.startswith(b"\x1aE\xdf\xa3")


async def test_a_job_is_started_once_per_key_and_its_id_needs_encoding() -> None:
    body = {"model": "google/veo3", "prompt": "A fox"}
    async with Simulator() as simulator:
        replies = [await send(simulator, UNIFIED, body, key="one") for _ in range(3)]
        other, _ = await send(simulator, UNIFIED, {**body, "prompt": "A hare"}, key="one")
        await get(simulator, UNIFIED, generation_id=_id(replies[0][1]))
        _, polls = await get(simulator, "/_simulator/polls")
        stats = simulator.stats()

    assert len({_id(submitted) for _, submitted in replies}) == 1
    assert ":google/veo3" in _id(replies[0][1])
    assert other == 400
    assert (stats["submits"], stats["generations"], stats["double_generations"]) == (1, 1, 0)
    assert stats["replays"] == 2
    assert (stats["polls"], polls) == ({"200": 1}, {_id(replies[0][1]): 1})


async def test_another_input_image_changes_the_video() -> None:
    path = f"{_OLD}/kling/generation"
    videos = []
    async with Simulator() as simulator:
        for image in (a_png(), a_png(), a_png(pixel=b"\1")):
            url = "data:image/png;base64," + base64.b64encode(image).decode()
            body = {"model": "kling-video/v1/pro/image-to-video", "prompt": "x", "image_url": url}
            _, submitted = await send(simulator, path, body)
            _, reply = await get(simulator, path, generation_id=_id(submitted))
            videos.append((await fetch(_url(reply["video"])))[1])
    assert videos[0] == videos[1] != videos[2]


async def test_without_idempotency_a_job_starts_twice() -> None:
    body = {"model": "veo2", "prompt": "A fox"}
    async with Simulator(SimulatorSettings(honour_idempotency=False)) as simulator:
        for _ in range(2):
            await send(simulator, UNIFIED, body, key="one")
        assert simulator.stats()["double_generations"] == 1


async def test_a_word_in_the_prompt_makes_a_job_fail() -> None:
    async with Simulator() as simulator:
        body = {"model": "google/veo3", "prompt": "a failing-word here"}
        _, submitted = await send(simulator, UNIFIED, body)
        _, reply = await get(simulator, UNIFIED, generation_id=_id(submitted))
    assert (reply["status"], reply["video"], reply["error"]["name"]) == ("error", None, "Error")


async def test_polls_can_get_a_404_at_first_and_errors_later() -> None:
    settings = SimulatorSettings(faults=parse_faults("poll404=1"))
    async with Simulator(settings) as simulator:
        _, submitted = await send(simulator, UNIFIED, {"model": "veo2", "prompt": "A fox"})
        codes = [(await get(simulator, UNIFIED, generation_id=_id(submitted)))[0] for _ in range(2)]
        unknown, _ = await get(simulator, UNIFIED, generation_id="no-such-id")
        elsewhere, _ = await get(simulator, MUSIC, generation_id=_id(submitted))
    assert (codes, unknown, elsewhere) == ([404, 200], 404, 404)


@pytest.mark.parametrize(
    ("fault", "ends"), [("jobfailed", (200, "error")), ("jobgone", (404, None))]
)
async def test_a_share_of_jobs_fails_or_is_gone_at_the_end(
    fault: str, ends: tuple[int, str | None]
) -> None:
    clock = Clock()
    settings = SimulatorSettings(faults=parse_faults(f"{fault}=1"), job_duration=Latency(60))
    async with Simulator(settings, monotonic=clock) as simulator:
        _, submitted = await send(simulator, UNIFIED, {"model": "google/veo3", "prompt": "A fox"})
        early, reply = await get(simulator, UNIFIED, generation_id=_id(submitted))
        clock.now += 60
        status, end = await get(simulator, UNIFIED, generation_id=_id(submitted))
    assert (early, reply["status"]) == (200, "queued")
    assert (status, end.get("status")) == ends


async def test_polls_of_a_key_fail_the_same_way_for_a_seed() -> None:
    async def codes() -> list[int]:
        async with Simulator(SimulatorSettings(faults=parse_faults("poll500=0.5"))) as simulator:
            body = {"model": "google/veo3", "prompt": "A fox"}
            _, submitted = await send(simulator, UNIFIED, body, key="one")
            polls = [await get(simulator, UNIFIED, generation_id=_id(submitted)) for _ in range(20)]
        return [code for code, _ in polls]

    first = await codes()
    assert set(first) == {200, 500}
    assert await codes() == first


async def test_a_url_expires_and_the_next_poll_returns_a_new_one() -> None:
    async with Simulator(SimulatorSettings(url_lifetime_s=-1)) as simulator:
        _, submitted = await send(simulator, UNIFIED, {"model": "veo2", "prompt": "A fox"})
        _, reply = await get(simulator, UNIFIED, generation_id=_id(submitted))
        assert (await fetch(reply["video"]["url"]))[0] == 403


async def test_a_poll_of_lumas_endpoint_can_wait_for_the_end_of_a_job() -> None:
    clock, waited = Clock(), []

    async def sleep(seconds: float) -> None:
        waited.append(seconds)
        clock.now += seconds

    settings = SimulatorSettings(job_duration=Latency(40))
    async with Simulator(settings, sleep=sleep, monotonic=clock) as simulator:
        _, submitted = await send(simulator, LUMA, {"model": "ray-2", "prompt": "A fox"})
        waited.clear()
        replies = [
            await get(simulator, LUMA, generation_id=_id(submitted), **state)
            for state in ({}, {"state": "completed"}, {"state": "completed"})
        ]
    assert [body["state"] for _, body in replies] == ["queued", "dreaming", "completed"]
    assert waited == [30, 10], "30 s at most, and no longer than the job takes"


async def test_music_is_a_sound_of_the_length_asked_for() -> None:
    async with Simulator() as simulator:
        body = {"model": "stable-audio", "prompt": "A slow waltz", "seconds_total": 3}
        _, submitted = await send(simulator, MUSIC, body)
        _, reply = await get(simulator, MUSIC, generation_id=_id(submitted))
        status, data = await fetch(reply["audio_file"]["url"])
    assert (status, data[:4], data[8:12]) == (200, b"RIFF", b"WAVE")
    assert len(data) == 44 + 2 * 8000 * 3


@pytest.mark.parametrize("model", ["nova-3", "whisper-large", "aai/universal"])
async def test_speech_by_url_becomes_text(model: str) -> None:
    async with Simulator() as simulator:
        body = {"model": model, "url": "https://example.test/talk.mp3"}
        _, submitted = await send(simulator, SPEECH, body)
        _, reply = await get(simulator, f"/v1/stt/{submitted['generation_id']}")
    result = reply.get("result") or reply["output"]
    text = result.get("text") or result["results"]["channels"][0]["alternatives"][0]["transcript"]
    assert text.endswith(".")


async def test_speech_from_a_file_is_read_as_a_form() -> None:
    async with Simulator() as simulator, session() as http:
        form = aiohttp.FormData({"model": "nova-3", "punctuate": "true"})
        form.add_field("audio", b"RIFF" + bytes(2000), filename="talk.wav")
        async with http.post(origin(simulator) + SPEECH, data=form) as response:
            assert (response.status, list(await response.json())) == (201, ["generation_id"])
        empty = aiohttp.FormData({"model": "nova-3"})
        empty.add_field("audio", b"", filename="talk.wav")
        async with http.post(origin(simulator) + SPEECH, data=empty) as response:
            assert response.status == 400


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"model": "no-such", "prompt": "x"}, "Unknown model"),
        ({"model": "google/veo3"}, "prompt: Required"),
        ({"model": "google/veo3", "prompt": "x", "duration": 99}, "duration: Invalid enum"),
        ({"model": "google/veo3", "prompt": "x", "colour": "red"}, "Unrecognized key"),
        (
            {
                "model": "kling-video/v1/pro/image-to-video",
                "prompt": "x",
                "image_url": "data:image/png;base64,@@@",
            },
            "is not base64",
        ),
        (
            {
                "model": "kling-video/v1/pro/image-to-video",
                "prompt": "x",
                "image_url": "data:image/png;base64," + "AAAA" * 9,
            },
            "holds a file of another type",
        ),
    ],
)
async def test_what_a_spec_does_not_allow_is_reported_and_not_charged(
    body: dict[str, Any], message: str
) -> None:
    async with Simulator() as simulator:
        status, reply = await send(simulator, UNIFIED, body)
        assert simulator.stats()["generations"] == 0
    assert status == 400
    assert message in reply["message"]
