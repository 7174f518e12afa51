"""What is read of replies whose heads or bodies are unusual, over real connections."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchgen.http.service import Service
from batchgen.http.transport import AiohttpTransport
from batchgen.storage.artifacts import LocalStore
from batchgen.types import FaultKind, HttpRequest, HttpResponse, NetworkFault, Reply, Timeouts

REQUEST = HttpRequest("POST", "/v1/images/generations", {"model": "m"})
BODY = b'{"error": {"message": "no credit"}}'
PNG = b"\x89PNG\r\n\x1a\n" + bytes(2000) + b"\0\0\0\0IEND\xaeB`\x82"


@asynccontextmanager
async def answering(reply: bytes, *, then: str = "close") -> AsyncIterator[str]:
    """Serve the same bytes to every request, then close, reset, wait or drip."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length or b"0"))
            writer.write(reply)
            await writer.drain()
            if then == "reset":
                writer.transport.abort()
            while then in ("drip", "flood"):
                writer.write(b" " * (1 if then == "drip" else 50_000))
                await writer.drain()
                await asyncio.sleep(0.01)
            if then == "wait":
                await reader.read()
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path, is_taken=lambda _: False)
    store.prepare()
    return store


def transport(base_url: str, store: LocalStore, timeouts: Timeouts) -> AiohttpTransport:
    service = Service(base_url, None, timeout_s=30.0, timeouts=timeouts)
    return AiohttpTransport(service, connections=2, open_sink=store.open_sink)


async def send(
    store: LocalStore, reply: bytes, *, then: str = "close", timeouts: Timeouts | None = None
) -> Reply:
    async with (
        answering(reply, then=then) as base_url,
        transport(base_url, store, timeouts or Timeouts()) as client,
    ):
        return await client.send(REQUEST, "k")


async def fetch(store: LocalStore, reply: bytes, *, then: str = "close") -> Reply:
    async with (
        answering(reply, then=then) as base_url,
        transport(base_url, store, Timeouts(stall_s=0.2)) as client,
    ):
        return await client.fetch(f"{base_url}/a.png")


def message(status: int, body: bytes, *headers: str, length: int | None = None) -> bytes:
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {size}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


CHUNKED = b"HTTP/1.1 401 X\r\nRetry-After: 7\r\nTransfer-Encoding: chunked\r\n\r\n"
ERRORS = [
    ("cut and closed", message(401, BODY[:10], "Retry-After: 7", length=500), "close", BODY[:10]),
    ("cut and reset", message(401, BODY[:10], "Retry-After: 7", length=500), "reset", None),
    ("stalls", message(401, BODY, "Retry-After: 7", length=500), "wait", BODY),
    ("drips", message(401, b"{", "Retry-After: 7", length=10**9), "drip", None),
    ("never ends", message(401, b"{", "Retry-After: 7", length=10**9), "flood", None),
    (
        "gzip of junk",
        message(401, b"junk", "Retry-After: 7", "Content-Encoding: gzip"),
        "close",
        b"junk",
    ),
    (
        "gzip that is damaged",
        message(401, b"\x1f\x8b\x08\xff\xff" + bytes(90), "Retry-After: 7"),
        "close",
        b"",
    ),
    (
        "zstd",
        message(
            401, b"\x28\xb5\x2f\xfd" + b"\xff" * 90, "Retry-After: 7", "Content-Encoding: zstd"
        ),
        "close",
        b"",
    ),
    (
        "half a gzip",
        message(401, gzip.compress(BODY)[:-4], "Retry-After: 7", "Content-Encoding: gzip"),
        "close",
        BODY,
    ),
    ("a chunk size that is none", CHUNKED + b"zz\r\n" + BODY, "close", b""),
    ("a chunk that is cut", CHUNKED + b"23\r\n" + BODY[:10], "close", BODY[:10]),
    ("chunks that end early", CHUNKED + b"%x\r\n" % len(BODY) + BODY + b"\r\n", "close", BODY),
    (
        "hints before it",
        b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + CHUNKED + b"zz\r\n",
        "close",
        b"",
    ),
    ("another charset", message(401, b"\xff\xfe{\0", "Retry-After: 7"), "close", b"{"),
]


@pytest.mark.parametrize(
    ("reply", "then", "body"), [error[1:] for error in ERRORS], ids=[error[0] for error in ERRORS]
)
async def test_status_and_headers_of_an_error_decide_whatever_its_body_does(
    reply: bytes,
    then: str,
    body: bytes | None,
    store: LocalStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("batchgen.http.replies._MAX_ERROR_S", 0.2)
    found = await send(store, reply, then=then)
    assert isinstance(found, HttpResponse)
    assert (found.status, found.headers["retry-after"]) == (401, "7")
    assert body is None or found.body == body
    assert len(found.body) <= 256 * 1024


async def test_the_error_of_a_file_has_its_head_too(store: LocalStore) -> None:
    found = await fetch(store, message(410, BODY, length=500), then="wait")
    assert isinstance(found, HttpResponse)
    assert (found.status, found.body) == (410, BODY)


@pytest.mark.parametrize("then", ["close", "reset"])
async def test_a_2xx_that_is_cut_may_have_been_carried_out(store: LocalStore, then: str) -> None:
    found = await send(store, message(200, b'{"data": [', length=500), then=then)
    assert isinstance(found, NetworkFault)
    assert (found.kind, found.sent) == (FaultKind.CONNECTION, True)


async def test_a_2xx_with_an_invalid_body_ends_at_once(store: LocalStore) -> None:
    reply = CHUNKED.replace(b"401", b"200") + b"5\r\n{'a':\r\nzz\r\n"
    found = await send(store, reply, then="wait")
    assert found == NetworkFault(
        FaultKind.CONNECTION, "the body of the reply is not valid HTTP", sent=True
    )


async def test_a_2xx_whose_compression_is_cut_is_read_as_far_as_it_goes(store: LocalStore) -> None:
    body = b'{"data": [{"url": "https://files.example/a.png"}]}'
    found = await send(store, message(200, gzip.compress(body)[:-3], "Content-Encoding: gzip"))
    assert found == HttpResponse(
        200, {"content-length": str(len(gzip.compress(body)) - 3), "content-encoding": "gzip"}, body
    )


@pytest.mark.parametrize("label", ["gzip", "GZIP", "br", "identity", "gzip, br", ""])
async def test_a_plain_body_is_read_whatever_its_label(label: str, store: LocalStore) -> None:
    body = json.dumps({"data": [{"b64_json": "QUJD" * 100}]}).encode()
    found = await send(store, message(200, body, f"Content-Encoding: {label}"))
    assert isinstance(found, HttpResponse)
    assert len(found.payloads) == 1


async def test_several_content_encodings_are_undone_in_turn(store: LocalStore) -> None:
    body = gzip.compress(gzip.compress(b"{}"))
    reply = message(200, body, "Content-Encoding: gzip", "Content-Encoding: x-gzip")
    found = await send(store, reply)
    assert isinstance(found, HttpResponse)
    assert found.body == b"{}"


async def test_a_2xx_that_cannot_be_decoded_keeps_its_bytes(store: LocalStore) -> None:
    body = b"\x1f\x9d\x90" + bytes(500_000)
    found = await send(store, message(200, body, "Content-Encoding: compress"))
    assert isinstance(found, HttpResponse)
    assert found.status == 200
    assert "has Content-Encoding compress, which was not asked for" in found.undecodable
    (payload,) = found.payloads
    assert (payload.data or Path(payload.path).read_bytes()) == body


async def test_a_file_is_decoded_or_its_encoding_is_named(store: LocalStore) -> None:
    for body, label in ((gzip.compress(PNG), "gzip"), (PNG, "gzip"), (PNG, "br")):
        found = await fetch(store, message(200, body, f"Content-Encoding: {label}"))
        assert isinstance(found, HttpResponse)
        assert found.payloads[0].data == PNG
        assert found.undecodable == ""
    found = await fetch(store, message(200, b"\x1f\x9d\x90" + PNG, "Content-Encoding: compress"))
    assert isinstance(found, HttpResponse)
    assert "compress" in found.undecodable
    found = await fetch(store, message(200, gzip.compress(PNG)[:-4], "Content-Encoding: gzip"))
    assert isinstance(found, NetworkFault)
    assert "ends too early" in found.message


FILLER_64 = "X-Trace: " + "a" * 64 * 1024
MANY = [f"X-H{number}: {'a' * 1000}" for number in range(64)]
SMALL = [f"X-H{number}: {'a' * 100}" for number in range(500)]


@pytest.mark.parametrize("headers", [[FILLER_64], MANY, SMALL], ids=["one", "many", "small"])
@pytest.mark.parametrize("status", [200, 400])
async def test_headers_of_64_kb_are_read(
    status: int, headers: list[str], store: LocalStore
) -> None:
    for found in (
        await send(store, message(status, b"{}", *headers)),
        await fetch(store, message(status, PNG, *headers)),
    ):
        assert isinstance(found, HttpResponse)
        assert found.status == status
        assert len(found.headers) >= len(headers)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (["X-Trace: " + "a" * 70_000], "a header of the reply is over 64 KB"),
        ([f"X-H{number}: a" for number in range(1100)], "or there are too many"),
        ([f"X-H{number}: {'a' * 60_000}" for number in range(9)], "the head of the reply is over"),
    ],
    ids=["one", "many", "in all"],
)
async def test_larger_heads_are_named_and_count_as_sent(
    headers: list[str], reason: str, store: LocalStore
) -> None:
    found = await send(store, message(200, b"{}", *headers))
    assert isinstance(found, NetworkFault)
    assert (found.kind, found.sent) == (FaultKind.UNREADABLE, True)
    assert reason in found.message


async def test_a_head_with_bare_line_feeds_is_followed_by_its_body(store: LocalStore) -> None:
    body = json.dumps({"note": "a" * 400_000}).encode()
    reply = message(200, body).replace(b"\r\n", b"\n")
    found = await send(store, reply)
    assert isinstance(found, HttpResponse | NetworkFault)
    if isinstance(found, HttpResponse):  # older parsers refuse it
        assert found.body == body
