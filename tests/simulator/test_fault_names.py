"""Every fault, and how it is classified: real HTTP, real files, the real decision table."""

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
# The decision, its kind, and whether the request may have been carried out.
DECISIONS = {
    "reset": (Verb.RETRY, "connection", True),
    "lost": (Verb.RETRY, "connection", True),
    "stall": (Verb.RETRY, "timeout", True),
    "html": (Verb.RETRY, "web_page", False),
    "empty": (Verb.RETRY, "bad_response", False),
    "badb64": (Verb.FAIL, "bad_response", True),
    "text": (Verb.FAIL, "bad_response", True),
    "truncated": (Verb.RETRY, "connection", True),
    "lying": (Verb.RETRY, "bad_response", True),
    "slow": (Verb.ACCEPT, "", False),
    "hang": (Verb.RETRY, "timeout", True),
    "mislabelled": (Verb.ACCEPT, "", False),
    "redirect": (Verb.FAIL, "bad_response", False),
    "expired": (Verb.ACCEPT, "", False),
}
FILE_DECISIONS = {
    "file404": (Verb.RETRY, "not_ready"),
    "file500": (Verb.RETRY, "server"),
    "filehtml": (Verb.RETRY, "not_ready"),
    "fileempty": (Verb.RETRY, "not_ready"),
    "filetruncated": (Verb.RETRY, "connection"),
    "fileslow": (Verb.ACCEPT, ""),
    "filehang": (Verb.RETRY, "timeout"),
    "fileredirect": (Verb.ACCEPT, ""),
    "fileloop": (Verb.RETRY, "not_ready"),
    "filescheme": (Verb.FAIL, "unsafe_url"),
    "expired": (Verb.FAIL, "expired"),
}


async def no_sleep(_: float) -> None:
    """Replace the simulator's latency."""


@asynccontextmanager
async def serving(fault: str, folder: Path) -> AsyncIterator[tuple[Simulator, AiohttpTransport]]:
    settings = SimulatorSettings(faults={fault: 1.0})
    store = LocalStore(folder, is_taken=lambda _: False)
    store.prepare()
    async with Simulator(settings, sleep=no_sleep) as simulator:
        timeouts = Timeouts(
            first_byte_s=SHORT_S if fault == "stall" else LONG_S,
            stall_s=SHORT_S if fault in ("hang", "filehang") else LONG_S,
        )
        service = Service(simulator.base_url, "sk-canary", ("Idempotency-Key",), LONG_S, timeouts)
        async with AiohttpTransport(service, connections=4, open_sink=store.open_sink) as transport:
            yield simulator, transport
    store.close()


def classified(reply: Reply, *, phase: Phase = Phase.SUBMIT) -> Decision:
    parse = images.parse_response if phase is Phase.SUBMIT else parse_image
    return classify(reply, parse=parse, settings=SETTINGS, phase=phase, now=NOW)


def parse_image(response: HttpResponse) -> Finished | Unusable:
    if sniff(response.payloads[0].head) is None:
        return Unusable("bad_response", "not an image")
    return Finished(response.payloads)


def test_every_fault_is_tested() -> None:
    assert DECISIONS.keys() == GENERATION_FAULTS.keys()
    assert FILE_DECISIONS.keys() == FILE_FAULTS.keys() | {"expired"}


@pytest.mark.parametrize("fault", DECISIONS)
async def test_a_reply_with_a_fault_is_classified(fault: str, tmp_path: Path) -> None:
    async with serving(fault, tmp_path) as (simulator, transport):
        decision = classified(await transport.send(images_request(), "key"))
        assert simulator.stats()["leaked_keys"] == 0

    assert (decision.verb, decision.kind, decision.sent) == DECISIONS[fault], decision.message


@pytest.mark.parametrize("fault", FILE_DECISIONS)
async def test_a_file_with_a_fault_is_classified(fault: str, tmp_path: Path) -> None:
    async with serving(fault, tmp_path) as (simulator, transport):
        submitted = classified(await transport.send(images_request("url"), "key"))
        (payload,) = cast("Finished", submitted.result).payloads
        reply = await transport.fetch(cast("RemotePayload", payload).url)
        decision = classified(reply, phase=Phase.DOWNLOAD)
        assert simulator.stats()["leaked_keys"] == 0

    assert (decision.verb, decision.kind) == FILE_DECISIONS[fault], decision.message
    assert not decision.sent
    if decision.verb is Verb.ACCEPT:
        assert are_spooled(cast("Finished", decision.result).payloads) == [True]


def images_request(response_format: str = "b64_json") -> HttpRequest:
    return HttpRequest("POST", images.PATH, {**BODY, "response_format": response_format})


def are_spooled(payloads: Sequence[Payload]) -> list[bool]:
    return [isinstance(payload, Spooled) and payload.size_bytes > 100 for payload in payloads]
