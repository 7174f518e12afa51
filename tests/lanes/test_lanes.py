"""Lanes as a run's transport and store: real processes, a real server, real files."""

import hashlib
import os
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pybase64
import pytest
from aiohttp import web

from batchgen.errors import StorageError
from batchgen.lanes import Lanes
from batchgen.service import Service
from batchgen.types import (
    FaultKind,
    HttpRequest,
    HttpResponse,
    LocalFile,
    Made,
    NetworkFault,
    Remote,
    Spooled,
)
from tests.given import a_png
from tests.lanes.processes import assert_gone, children_of, watched
from tests.test_transport import serving

SMALL = a_png()
LARGE = a_png(pixel=b"\7") + bytes(300_000)
REQUEST = HttpRequest("POST", "/v1/images/generations", {"model": "m", "prompt": "fox"})


@asynccontextmanager
async def opened(root: Path, base_url: str, count: int = 2) -> AsyncIterator[Lanes]:
    lanes = Lanes(count, root)
    (root / ".batchgen" / "tmp").mkdir(parents=True, exist_ok=True)
    try:
        service = Service(base_url, "sk-canary-8891", ("Idempotency-Key",), 10.0)
        await lanes.open(service, connections=8, orphans=frozenset())
        yield lanes
    finally:
        lanes.end()


def temporary(root: Path) -> list[str]:
    return sorted(path.name for path in (root / ".batchgen" / "tmp").iterdir())


async def _picture(request: web.Request) -> web.Response:
    told = await request.json()
    data = LARGE if told["prompt"] == "large" else SMALL
    item = {
        "b64_json": pybase64.b64encode(data).decode(),
        "key": request.headers["Idempotency-Key"],
    }
    return web.json_response({"data": [item]})


@pytest.mark.parametrize(("prompt", "data"), [("small", SMALL), ("large", LARGE)])
async def test_a_payload_stays_with_the_lane_that_received_it_and_is_published_there(
    tmp_path: Path, prompt: str, data: bytes
) -> None:
    request = HttpRequest("POST", "/v1/images/generations", {"model": "m", "prompt": prompt})
    async with serving(_picture) as base_url, opened(tmp_path, base_url) as lanes:
        replies = [await lanes.send(request, f"bg-{n}") for n in range(4)]
        payloads = [
            one for reply in replies if isinstance(reply, HttpResponse) for one in reply.payloads
        ]
        assert [one.data for one in payloads] == [None] * 4
        assert payloads[0].head == data[:4096]

        found = [await lanes.publish(one, f"p{n}.{{ext}}", 1) for n, one in enumerate(payloads)]
        lanes.settle([artifact.path for artifact in found])
        await lanes.close()

    assert [artifact.path for artifact in found] == ["p0.png", "p1.png", "p2.png", "p3.png"]
    assert {artifact.sha256 for artifact in found} == {hashlib.sha256(data).hexdigest()}
    assert {(tmp_path / artifact.path).read_bytes() for artifact in found} == {data}
    assert temporary(tmp_path) == []


async def test_what_was_made_from_a_reply_is_published_too(tmp_path: Path) -> None:
    async with serving(_picture) as base_url, opened(tmp_path, base_url) as lanes:
        artifact = await lanes.publish(Made(b"A fox.", "text/plain"), "fox.{ext}", 1)
        await lanes.close()

    assert (tmp_path / artifact.path).read_bytes() == b"A fox."


async def test_a_discarded_payload_leaves_nothing(tmp_path: Path) -> None:
    request = HttpRequest("POST", "/v1/images/generations", {"model": "m", "prompt": "large"})
    async with serving(_picture) as base_url, opened(tmp_path, base_url) as lanes:
        reply = await lanes.send(request, "bg-1")
        assert isinstance(reply, HttpResponse)
        assert len(temporary(tmp_path)) == 1
        lanes.discard(reply.payloads[0])
        await lanes.close()

    assert temporary(tmp_path) == []


async def test_a_url_is_fetched_and_a_private_one_is_not(tmp_path: Path) -> None:
    async def file(_: web.Request) -> web.Response:
        return web.Response(body=SMALL, content_type="image/png")

    async with serving(file) as base_url, opened(tmp_path, base_url, 1) as lanes:
        reply = await lanes.fetch(f"{base_url}/p.png")
        refused = await lanes.fetch("file:///etc/hostname")

    assert isinstance(reply, HttpResponse)
    assert isinstance(reply.payloads[0], Spooled)
    assert not isinstance(reply.payloads[0], Remote)
    assert isinstance(refused, NetworkFault)
    assert refused.kind is FaultKind.UNSAFE_URL


async def test_a_file_among_the_fields_is_read_by_the_lane(tmp_path: Path) -> None:
    seen = {}

    async def answer(request: web.Request) -> web.Response:
        seen.update(await request.json())
        return web.json_response({"data": []})

    picture = tmp_path / "fox.png"
    picture.write_bytes(SMALL)
    digest = hashlib.sha256(SMALL).hexdigest()
    file = LocalFile(picture, "fox.png", len(SMALL), digest, "image/png")
    request = HttpRequest("POST", "/v1/images/generations", {"image": file})
    async with serving(answer) as base_url, opened(tmp_path, base_url, 1) as lanes:
        await lanes.send(request, "bg-1")

    assert seen == {"image": f"data:image/png;base64,{pybase64.b64encode(SMALL).decode()}"}


async def test_a_disk_that_fails_is_told_as_it_is_without_lanes(tmp_path: Path) -> None:
    request = HttpRequest("POST", "/v1/images/generations", {"model": "m", "prompt": "large"})
    async with serving(_picture) as base_url, opened(tmp_path, base_url, 1) as lanes:
        shutil.rmtree(tmp_path / ".batchgen")
        with pytest.raises(StorageError, match="put the output directory back"):
            await lanes.send(request, "bg-1")


async def test_a_bug_in_a_lane_comes_out_with_where_it_was(tmp_path: Path) -> None:
    stranger = Spooled(f"{tmp_path}/nobody-1.part", 1, "", b"")
    async with serving(_picture) as base_url, opened(tmp_path, base_url, 1) as lanes:
        known = await lanes.send(REQUEST, "bg-1")
        assert isinstance(known, HttpResponse)
        stranger = Spooled(known.payloads[0].path + "x", 1, "", b"")
        with pytest.raises(RuntimeError, match=r"(?s)in a lane:.*KeyError"):
            await lanes.publish(stranger, "x.{ext}", 1)


async def test_a_lane_that_dies_fails_all_that_wait_for_it(tmp_path: Path) -> None:
    async def never(_: web.Request) -> web.Response:
        os.kill(lane, signal.SIGKILL)
        return web.json_response({"data": []})

    async with serving(never) as base_url, opened(tmp_path, base_url, 1) as lanes:
        (lane,) = lanes.processes
        with pytest.raises(StorageError, match=f"process {lane} that .* was ended from"):
            await lanes.send(REQUEST, "bg-1")
        with pytest.raises(StorageError, match="run the same command again"):
            await lanes.send(REQUEST, "bg-2")


async def test_no_lane_outlives_its_end(tmp_path: Path) -> None:
    async with serving(_picture) as base_url, opened(tmp_path, base_url) as lanes:
        processes = lanes.processes
        assert len(set(processes)) == 2
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, 0)
            pytest.fail(f"{process} is still there")


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="the end of a grandchild is told there")
async def test_a_lane_that_does_not_go_by_itself_is_killed(
    tmp_path: Path,
) -> None:
    async with serving(_picture) as base_url, opened(tmp_path, base_url) as lanes:
        going = watched(lanes.processes)
        os.kill(lanes.processes[-1], signal.SIGSTOP)
    assert_gone(going)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="processes are told by Linux only")
def test_lanes_that_were_never_told_of_a_run_end_too(tmp_path: Path) -> None:
    before = set(children_of(os.getpid()))  # of other tests
    lanes = Lanes(2, tmp_path)
    going = watched(set(children_of(os.getpid())) - before)
    assert going
    lanes.end()
    lanes.end()
    assert_gone(going, within_ms=0)


async def test_a_key_stands_in_no_command_line(tmp_path: Path) -> None:
    async with serving(_picture) as base_url, opened(tmp_path, base_url) as lanes:
        for process in lanes.processes:
            line = Path(f"/proc/{process}/cmdline")
            if line.exists():  # elsewhere than on Linux there is no /proc
                assert b"canary" not in line.read_bytes()
