"""Every fault of the simulator, and what is made of it: real HTTP, real files, the real table."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest

from batchgen.engine.decisions import classify
from batchgen.http.service import Service
from batchgen.http.transport import AiohttpTransport
from batchgen.media.formats import sniff
from batchgen.provider.endpoints import images
from batchgen.simulator.fault_names import FILE_FAULTS, GENERATION_FAULTS
from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import SimulatorSettings
from batchgen.storage.artifacts import LocalStore
from batchgen.types import (
    Decision,
    Finished,
    HttpRequest,
    HttpResponse,
    Payload,
    Phase,
    RemotePayload,
    Reply,
    RetrySettings,
    Spooled,
    Timeouts,
    Unusable,
    Verb,
)
from tests.given import NOW

SETTINGS = RetrySettings()
BODY = {"model": "dall-e-2", "prompt": "A fox", "size": "256x256", "response_format": "b64_json"}
SHORT_S, LONG_S = 0.3, 60.0
# What a request comes to: the decision, its kind, and whether it may have been carried out.
MADE_OF = {
    "reset": (Verb.RETRY, "connection", True),
    "lost": (Verb.RETRY, "connection", True),
    "stall": (Verb.RETRY, "timeout", True),
    "html": (Verb.RETRY, "bad_response", True),
    "empty": (Verb.RETRY, "bad_response", True),
    "badb64": (Verb.RETRY, "bad_response", True),
    "text": (Verb.RETRY, "bad_response", True),
    "truncated": (Verb.RETRY, "connection", True),
    "lying": (Verb.RETRY, "bad_response", True),
    "slow": (Verb.ACCEPT, "", False),
    "hang": (Verb.RETRY, "timeout", True),
    "mislabelled": (Verb.ACCEPT, "", False),
    "redirect": (Verb.FAIL, "bad_response", False),
    "expired": (Verb.ACCEPT, "", False),
}
OF_FILE = {
    "file404": (Verb.RETRY, "expired"),
    "file500": (Verb.RETRY, "server"),
    "filehtml": (Verb.RETRY, "bad_response"),
    "fileempty": (Verb.RETRY, "bad_response"),
    "filetruncated": (Verb.RETRY, "connection"),
    "fileslow": (Verb.ACCEPT, ""),
    "filehang": (Verb.RETRY, "timeout"),
    "fileredirect": (Verb.ACCEPT, ""),
    "fileloop": (Verb.FAIL, "unsafe_url"),
    "filescheme": (Verb.FAIL, "unsafe_url"),
    "expired": (Verb.RETRY, "expired"),
}


async def at_once(_: float) -> None:
    """The simulator's latency, in no time."""


@asynccontextmanager
async def struck(fault: str, folder: Path) -> AsyncIterator[tuple[Simulator, AiohttpTransport]]:
    settings = SimulatorSettings(faults={fault: 1.0})
    store = LocalStore(folder, is_taken=lambda _: False)
    store.prepare()
    async with Simulator(settings, sleep=at_once) as simulator:
        timeouts = Timeouts(
            first_byte_s=SHORT_S if fault == "stall" else LONG_S,
            stall_s=SHORT_S if fault in ("hang", "filehang") else LONG_S,
        )
        service = Service(simulator.base_url, "sk-canary", ("Idempotency-Key",), LONG_S, timeouts)
        async with AiohttpTransport(service, connections=4, open_sink=store.open_sink) as transport:
            yield simulator, transport
    store.close()


def decided(reply: Reply, *, phase: Phase = Phase.SUBMIT) -> Decision:
    parse = images.parse_response if phase is Phase.SUBMIT else a_picture
    return classify(reply, parse=parse, settings=SETTINGS, phase=phase, now=NOW)


def a_picture(response: HttpResponse) -> Finished | Unusable:
    if sniff(response.payloads[0].head) is None:
        return Unusable("bad_response", "not an image")
    return Finished(response.payloads)


def test_every_fault_is_tried() -> None:
    assert MADE_OF.keys() == GENERATION_FAULTS.keys()
    assert OF_FILE.keys() == FILE_FAULTS.keys() | {"expired"}


@pytest.mark.parametrize("fault", MADE_OF)
async def test_a_reply_that_goes_wrong_is_taken_for_what_it_is(fault: str, tmp_path: Path) -> None:
    async with struck(fault, tmp_path) as (simulator, transport):
        decision = decided(await transport.send(images_request(), "key"))
        assert simulator.stats()["leaked_keys"] == 0

    assert (decision.verb, decision.kind, decision.sent) == MADE_OF[fault], decision.message


@pytest.mark.parametrize("fault", OF_FILE)
async def test_a_file_that_goes_wrong_is_taken_for_what_it_is(fault: str, tmp_path: Path) -> None:
    async with struck(fault, tmp_path) as (simulator, transport):
        submitted = decided(await transport.send(images_request("url"), "key"))
        (payload,) = cast("Finished", submitted.result).payloads
        reply = await transport.fetch(cast("RemotePayload", payload).url)
        decision = decided(reply, phase=Phase.DOWNLOAD)
        assert simulator.stats()["leaked_keys"] == 0

    assert (decision.verb, decision.kind) == OF_FILE[fault], decision.message
    assert not decision.sent
    if decision.verb is Verb.ACCEPT:
        assert spooled(cast("Finished", decision.result).payloads) == [True]


def images_request(answer: str = "b64_json") -> HttpRequest:
    return HttpRequest("POST", images.PATH, {**BODY, "response_format": answer})


def spooled(payloads: Sequence[Payload]) -> list[bool]:
    return [isinstance(one, Spooled) and one.size_bytes > 100 for one in payloads]
