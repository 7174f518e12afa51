"""The transport with real servers on loopback."""

import asyncio
import base64
import json
import shutil
import ssl
import subprocess
from base64 import b64encode
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest
import yarl
from aiohttp import web
from msgspec.structs import replace

from batchgen.errors import UsageError
from batchgen.http.service import Service
from batchgen.http.transport import AiohttpTransport
from batchgen.storage.artifacts import LocalStore
from batchgen.types import FaultKind, HttpRequest, HttpResponse, LocalFile, NetworkFault, Spooled

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
REQUEST = HttpRequest("POST", "/v1/images/generations", {"model": "m", "prompt": "ü"})
PNG_END = b"\0\0\0\0IEND\xaeB`\x82"
IMAGE = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 5000 + PNG_END
WHOLE_PNG = IMAGE[:1000] + PNG_END
CANARY = "sk-canary-5309"


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{tail:.*}", handler)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    try:
        yield f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path, is_taken=lambda _: False)
    store.prepare()
    return store


def transport(base_url: str, store: LocalStore, timeout_s: float = 10.0) -> AiohttpTransport:
    service = Service(base_url, CANARY, ("Idempotency-Key", "X-Client-Request-Id"), timeout_s)
    return AiohttpTransport(service, connections=4, open_sink=store.open_sink)


def leftovers(tmp_path: Path) -> list[Path]:
    return list((tmp_path / ".batchgen" / "tmp").iterdir())


async def test_a_request_carries_key_body_and_both_key_headers(store: LocalStore) -> None:
    received: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        received.update(request.headers)
        received["path"] = request.path
        received["body"] = await request.text()
        return web.json_response({"data": []}, status=201)

    async with serving(answer) as base, transport(base + "/v1/", store) as client:
        reply = await client.send(REQUEST, "bg-1")

    assert isinstance(reply, HttpResponse)
    assert (reply.status, reply.body) == (201, b'{"data": []}')
    assert received["path"] == "/v1/images/generations"
    assert json.loads(received["body"]) == REQUEST.body
    assert received["Authorization"] == f"Bearer {CANARY}"
    assert received["Idempotency-Key"] == received["X-Client-Request-Id"] == "bg-1"
    assert received["Content-Type"] == "application/json"


async def test_an_audio_reply_is_its_own_only_payload(store: LocalStore) -> None:
    audio = b"RIFF\0\0\0\0WAVE" + bytes(100_000)

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=audio, content_type="audio/wav")

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.send(REQUEST, "bg-1")

    assert isinstance(reply, HttpResponse)
    (payload,) = reply.payloads
    assert (reply.body, payload.size_bytes, payload.media_type) == (b"", len(audio), "audio/wav")
    assert Path(payload.path).read_bytes() == audio


@pytest.mark.parametrize("ending", ["", "/", "/v1", "/v1/", "/v2"])
def test_a_base_url_may_end_in_its_version(ending: str) -> None:
    service = Service("https://host/openai" + ending, None)
    assert service.url("/v1/images/generations") == "https://host/openai/v1/images/generations"


async def test_base64_goes_to_a_file_and_the_rest_to_the_parser(store: LocalStore) -> None:
    body = {"data": [{"b64_json": base64.b64encode(IMAGE).decode()}]}

    async def answer(_: web.Request) -> web.Response:
        return web.json_response(body)

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.send(REQUEST, "k")

    assert isinstance(reply, HttpResponse)
    assert json.loads(reply.body) == {"data": [{"b64_json": "batchgen-payload:0"}]}
    assert Path(reply.payloads[0].path).read_bytes() == IMAGE


async def test_a_reply_that_is_cut_off_leaves_no_file(store: LocalStore, tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "9000000"})
        await response.prepare(request)
        await response.write(b'{"data":[{"b64_json":"' + base64.b64encode(IMAGE))
        assert request.transport is not None
        request.transport.close()
        return response

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.send(REQUEST, "k")

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (FaultKind.CONNECTION, True)
    assert leftovers(tmp_path) == []


async def test_broken_base64_costs_its_item_only_and_leaves_no_file(
    store: LocalStore, tmp_path: Path
) -> None:
    broken = "iVBO" * 30_000 + "$$$$"
    items = [{"b64_json": broken}, {"b64_json": b64encode(WHOLE_PNG).decode()}]

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"data": items})

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.send(REQUEST, "k")

    assert isinstance(reply, HttpResponse)
    assert [payload.data for payload in reply.payloads] == [WHOLE_PNG]
    places = [{"b64_json": "batchgen-broken:0"}, {"b64_json": "batchgen-payload:0"}]
    assert json.loads(reply.body) == {"data": places}
    assert leftovers(tmp_path) == []


async def test_a_request_without_an_answer_times_out_and_counts_as_sent(store: LocalStore) -> None:
    async def answer(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError("never reached")

    async with serving(answer) as base, transport(base, store, timeout_s=0.2) as client:
        reply = await client.send(REQUEST, "k")

    assert reply == NetworkFault(FaultKind.TIMEOUT, "no complete reply in time", sent=True)


async def test_a_refused_connection_does_not_count_as_sent(store: LocalStore) -> None:
    async with transport("http://127.0.0.1:9", store) as client:
        reply = await client.send(REQUEST, "k")

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (FaultKind.CONNECTION, False)


async def test_a_redirect_of_the_provider_is_not_followed_with_the_key(store: LocalStore) -> None:
    requested_paths = []

    async def answer(request: web.Request) -> web.Response:
        requested_paths.append(request.path)
        raise web.HTTPTemporaryRedirect("/elsewhere")

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.send(REQUEST, "k")

    assert isinstance(reply, HttpResponse)
    assert reply.status == 307
    assert requested_paths == ["/v1/images/generations"]


async def test_a_file_is_fetched_without_the_key_and_with_its_query_unchanged(
    store: LocalStore,
) -> None:
    received: dict[str, str] = {}

    async def answer(request: web.Request) -> web.Response:
        received["path"] = request.raw_path
        received["authorization"] = request.headers.get("Authorization", "")
        return web.Response(body=IMAGE)

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.fetch(base + "/a%2Fb.png?sig=a%2Bb%3D&se=2026-01-01T00%3A00")

    assert isinstance(reply, HttpResponse)
    payload = reply.payloads[0]
    assert isinstance(payload, Spooled)
    assert Path(payload.path).read_bytes() == IMAGE
    assert received == {
        "path": "/a%2Fb.png?sig=a%2Bb%3D&se=2026-01-01T00%3A00",
        "authorization": "",
    }


@pytest.mark.parametrize(
    ("url", "path"),
    [("/files/a.png?sig=a%2Fb", "/files/a.png?sig=a%2Fb"), ("files/a.png", "/v1/files/a.png")],
)
async def test_a_url_without_a_host_is_one_of_the_provider(
    url: str, path: str, store: LocalStore
) -> None:
    paths = []

    async def answer(request: web.Request) -> web.Response:
        paths.append(request.raw_path)
        return web.Response(body=IMAGE)

    async with serving(answer) as base, transport(f"{base}/v1", store) as client:
        reply = await client.fetch(url)
        elsewhere = await client.fetch("//169.254.169.254/a.png")

    assert isinstance(reply, HttpResponse)
    assert paths == [path]
    assert isinstance(elsewhere, NetworkFault)
    assert elsewhere.kind is FaultKind.UNSAFE_URL


async def test_redirects_of_a_file_are_followed_up_to_a_limit(store: LocalStore) -> None:
    async def answer(request: web.Request) -> web.Response:
        redirects = int(request.query["redirects"])
        if redirects:
            raise web.HTTPFound(f"/file?redirects={redirects - 1}")
        return web.Response(body=IMAGE)

    async with serving(answer) as base, transport(base, store) as client:
        near = await client.fetch(base + "/file?redirects=3")
        far = await client.fetch(base + "/file?redirects=20")

    assert isinstance(near, HttpResponse)
    assert len(near.payloads) == 1
    assert isinstance(far, NetworkFault)
    assert far.kind is FaultKind.BAD_RESPONSE, "a challenge may redirect for ever; it passes"


async def test_a_part_of_a_file_is_a_bad_response(store: LocalStore) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(
            status=206, body=IMAGE[:40], headers={"Content-Range": f"bytes 0-39/{len(IMAGE)}"}
        )

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.fetch(base + "/file")

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (FaultKind.BAD_RESPONSE, True)


async def test_a_206_reply_with_the_whole_file_is_accepted(store: LocalStore) -> None:
    async def answer(_: web.Request) -> web.Response:
        last = len(IMAGE) - 1
        headers = {"Content-Range": f"bytes 0-{last}/{len(IMAGE)}"}
        return web.Response(status=206, body=IMAGE, headers=headers)

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.fetch(base + "/file")

    assert isinstance(reply, HttpResponse)
    assert reply.payloads[0].size_bytes == len(IMAGE)


@pytest.mark.parametrize(("sent", "is_truncated"), [(WHOLE_PNG, False), (WHOLE_PNG[:-20], True)])
async def test_an_image_without_a_length_header_is_checked_for_truncation(
    sent: bytes, *, is_truncated: bool, store: LocalStore
) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\nContent-Type: image/png\r\n\r\n" + sent)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with transport(base, store) as client:
            reply = await client.fetch(base + "/a.png")

    if is_truncated:
        message = "the file is truncated: a PNG without its end (IEND)"
        assert reply == NetworkFault(FaultKind.BAD_RESPONSE, message, sent=True)
    else:
        assert isinstance(reply, HttpResponse)
        assert reply.payloads[0].data == WHOLE_PNG


@pytest.mark.parametrize(
    "place", ["http://[bad", "http://a..b/x", f"http://{'a' * 64}/x", "http://:0:0/", "//[", "x://"]
)
async def test_a_redirect_to_an_invalid_url_is_a_fault_of_its_task(
    store: LocalStore, place: str
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=302, headers={"Location": place})

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.fetch(base + "/file")

    assert isinstance(reply, NetworkFault)
    assert reply.kind in (FaultKind.UNSAFE_URL, FaultKind.CONNECTION)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://localhost:1/x", "file:///etc/x"])
async def test_a_public_provider_cannot_name_urls_of_this_machine(
    store: LocalStore, url: str
) -> None:
    async with transport("https://api.example.com/v1", store) as client:
        reply = await client.fetch(url)

    assert isinstance(reply, NetworkFault)
    assert reply.kind is FaultKind.UNSAFE_URL


async def test_the_key_is_in_no_message(store: LocalStore) -> None:
    client = transport("http://127.0.0.1:9", store)
    async with client:
        reply = await client.send(REQUEST, "k")
    assert CANARY not in repr(reply) + repr(Service("http://h", CANARY))


async def test_the_providers_headers_go_to_the_provider_only(store: LocalStore) -> None:
    received = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request.headers.get("X-Team"))
        return web.Response(body=IMAGE) if request.method == "GET" else web.json_response({})

    async with serving(answer) as base:
        service = Service(base, CANARY, headers={"X-Team": "t-1", "authorization": "Token t-2"})
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            await client.send(REQUEST, "bg-1")
            await client.fetch(base + "/a.png")

    assert received == ["t-1", None]
    assert "t-1" not in repr(service)


async def test_a_header_of_the_job_replaces_a_usual_one_but_no_idempotency_key(
    store: LocalStore,
) -> None:
    received: dict[str, list[str]] = {}

    async def answer(request: web.Request) -> web.Response:
        received.update({name: request.headers.getall(name) for name in request.headers})
        return web.json_response({})

    headers = {"user-agent": "fox/1", "accept": "*/*", "idempotency-key": "always the same"}
    async with serving(answer) as base:
        service = Service(base, CANARY, ("Idempotency-Key",), headers=headers)
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            await client.send(REQUEST, "bg-1")

    headers_sent = {name.lower(): values for name, values in received.items()}
    assert headers_sent["user-agent"] == ["fox/1"]
    assert headers_sent["accept"] == ["*/*"]
    assert headers_sent["idempotency-key"] == ["bg-1"]


async def test_a_header_that_cannot_be_sent_is_a_fault_and_nothing_is_sent(
    store: LocalStore,
) -> None:
    requested_paths: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        requested_paths.append(request.path)
        return web.json_response({})

    async with serving(answer) as base:
        service = Service(base, CANARY, headers={"X-Team": "a\r\nX-Other: canary-2"})
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            reply = await client.send(REQUEST, "bg-1")

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent, requested_paths) == (FaultKind.CONNECTION, False, [])
    assert "cannot be sent" in reply.message
    assert "canary" not in reply.message


async def test_cookies_are_not_kept(store: LocalStore) -> None:
    cookies: list[str | None] = []

    async def answer(request: web.Request) -> web.Response:
        cookies.append(request.headers.get("Cookie"))
        return web.json_response({}, headers={"Set-Cookie": "session=1; Path=/"})

    async with serving(answer) as base, transport(base, store) as client:
        await client.send(REQUEST, "bg-1")
        await client.send(REQUEST, "bg-2")

    assert cookies == [None, None]


async def test_the_fault_of_a_broken_download_names_no_signature(store: LocalStore) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"no HTTP\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with transport(base, store) as client:
            reply = await client.fetch(base + "/a.png?signature=canary")

    assert reply == NetworkFault(FaultKind.BAD_RESPONSE, "the reply is not valid HTTP", sent=True)


@pytest.mark.parametrize("multipart", [False, True])
async def test_a_file_streams_out_with_a_known_length_and_again_for_a_second_attempt(
    store: LocalStore, tmp_path: Path, *, multipart: bool
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(IMAGE)
    file = LocalFile(path, "cat.png", len(IMAGE), sha256(IMAGE).hexdigest(), "image/png")
    received: list[tuple[bytes, bool]] = []

    async def answer(request: web.Request) -> web.Response:
        length = request.content_length
        if multipart:
            field = (await request.post())["image"]
            assert isinstance(field, web.FileField)
            received.append((field.file.read(), length is not None))
        else:
            url = (await request.json())["image"]
            received.append(
                (base64.b64decode(url.removeprefix("data:image/png;base64,")), bool(length))
            )
        return web.json_response({"data": []})

    request = HttpRequest("POST", "/v1/images/edits", {"image": file}, multipart)
    async with serving(answer) as base, transport(base, store) as client:
        await client.send(request, "k")
        await client.send(request, "k")

    assert received == [(IMAGE, True), (IMAGE, True)]


async def test_a_changed_file_is_a_fault_of_its_task_and_not_of_the_connection(
    store: LocalStore, tmp_path: Path
) -> None:
    path = tmp_path / "cat.png"
    path.write_bytes(IMAGE)
    file = LocalFile(path, "cat.png", len(IMAGE), "0" * 64, "image/png")
    answered = []

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        answered.append(request.path)
        return web.json_response({"data": []})

    async with serving(answer) as base, transport(base, store) as client:
        reply = await client.send(HttpRequest("POST", "/v1/x", {"image": file}), "k")

    assert reply == NetworkFault(
        FaultKind.INPUT_FILE,
        "the file cat.png has changed since it was checked; run the command again",
        sent=False,
    )
    assert answered == []


async def test_a_secret_in_a_replys_body_is_removed(store: LocalStore) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.json_response({"message": request.headers["X-Team"]}, status=400)

    async with serving(answer) as base:
        service = Service(base, None, headers={"X-Team": "canary-2"}, secrets=("canary-2",))
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            reply = await client.send(REQUEST, "bg-1")

    assert isinstance(reply, HttpResponse)
    assert reply.body == b'{"message": "***"}'


async def test_a_secret_in_a_replys_headers_is_removed(store: LocalStore) -> None:
    async def answer(request: web.Request) -> web.Response:
        key = request.headers["Authorization"].removeprefix("Bearer ")
        return web.Response(status=302, headers={"Location": f"/{key}", "X-Request-Id": key})

    async with serving(answer) as base:
        service = Service(base, CANARY, secrets=(CANARY,))
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            reply = await client.send(REQUEST, "bg-1")

    assert isinstance(reply, HttpResponse)
    assert (reply.headers["location"], reply.headers["x-request-id"]) == ("/***", "***")


async def test_a_proxy_carries_requests_and_downloads(
    store: LocalStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "netrc").write_text("default login me password canary-netrc\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    received = []

    async def carry(request: web.Request) -> web.Response:
        received.append((request.headers["Host"], request.headers.get("Authorization")))
        return web.Response(body=IMAGE) if request.method == "GET" else web.json_response({})

    async with serving(carry) as proxy:
        service = Service("http://198.51.100.7/v1", CANARY, proxies={"http": proxy})
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            sent = await client.send(REQUEST, "bg-1")
            fetched = await client.fetch("http://93.184.215.14/a.png")

    assert isinstance(sent, HttpResponse)
    assert isinstance(fetched, HttpResponse)
    assert len(fetched.payloads) == 1
    assert received == [("198.51.100.7", f"Bearer {CANARY}"), ("93.184.215.14", None)]


async def test_a_private_host_is_refused_through_a_proxy_too(store: LocalStore) -> None:
    service = Service("https://api.example.test", CANARY, proxies={"http": "http://127.0.0.1:9"})
    async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
        reply = await client.fetch("http://10.0.0.7/a.png")

    assert isinstance(reply, NetworkFault)
    assert reply.kind is FaultKind.UNSAFE_URL


@asynccontextmanager
async def answering_connect(answer: bytes) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Serve as a proxy that answers each CONNECT with the same bytes and closes."""
    requests: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(answer)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://me:canary-pw@127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
        server.close()


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        (b"HTTP/1.1 407 Who\r\n\r\n", FaultKind.PROXY, "answered 407 Proxy Authentication"),
        (b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n", FaultKind.PROXY, "answered 403 Forb"),
        (b"HTTP/1.1 302 X\r\nLocation: /login\r\n\r\n", FaultKind.PROXY, "answered 302 Found"),
        (b"HTTP/1.1 405 X\r\n\r\n", FaultKind.PROXY, "answered 405"),
        (b"HTTP/1.1 599 X\r\n\r\n", FaultKind.PROXY, "answered 599; have"),
        (b"HTTP/1.1 502 X\r\n\r\n<html>", FaultKind.CONNECTION, "answered 502 Bad Gateway"),
        (b"HTTP/1.1 503 X\r\n\r\n", FaultKind.CONNECTION, "answered 503"),
        (b"HTTP/1.1 504 X\r\n\r\n", FaultKind.CONNECTION, "answered 504"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", FaultKind.CONNECTION, "is not valid HTTP"),
        (b"", FaultKind.CONNECTION, "closed the connection without an answer"),
    ],
)
async def test_a_proxy_that_makes_no_connection_is_named_and_nothing_is_sent(
    answer: bytes, kind: FaultKind, reason: str, store: LocalStore
) -> None:
    async with answering_connect(answer) as (proxy, requests):
        service = Service("https://images.lab.example/v1", CANARY, proxies={"https": proxy})
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            reply = await client.send(REQUEST, "k")
            fetched = await client.fetch("https://8.8.8.8/a.png")

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (kind, False)
    assert reason in reply.message
    assert f"the proxy 127.0.0.1:{yarl.URL(proxy).port}" in reply.message
    assert "canary" not in reply.message
    assert all(request.startswith(b"CONNECT ") for request in requests)
    # It may refuse the file's host only, except for a password.
    assert isinstance(fetched, NetworkFault)
    assert fetched.kind is (kind if b" 407 " in answer else FaultKind.CONNECTION)


async def test_407_to_a_plain_http_request_is_the_proxys(store: LocalStore) -> None:
    async with answering_connect(b"HTTP/1.1 407 X\r\nContent-Length: 0\r\n\r\n") as (proxy, _):
        service = Service("http://198.51.100.7/v1", CANARY, proxies={"http": proxy})
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            replies = [await client.send(REQUEST, "k"), await client.fetch("http://8.8.8.8/a.png")]

    for reply in replies:
        assert isinstance(reply, NetworkFault)
        assert (reply.kind, reply.sent) == (FaultKind.PROXY, False)


async def test_a_proxy_that_cannot_be_reached_is_named(store: LocalStore) -> None:
    proxies = {"https": "http://me:canary-pw@127.0.0.1:9"}
    service = Service("https://images.lab.example/v1", CANARY, proxies=proxies)
    async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
        reply = await client.send(REQUEST, "k")

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (FaultKind.CONNECTION, False)
    assert reply.message.startswith("no connection to the proxy 127.0.0.1:9: ")


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A self-signed certificate for 127.0.0.1, with its key beside it."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("needs openssl for a certificate: apt-get install openssl")
    words = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=127.0.0.1 -keyout key.pem"
    subprocess.run(
        [openssl, *words.split(), "-out", "cert.pem", "-addext", "subjectAltName=IP:127.0.0.1"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    return tmp_path / "cert.pem"


async def test_a_self_signed_certificate_is_trusted_if_the_job_names_it(
    store: LocalStore, certificate: Path
) -> None:
    async def answer(_: web.Request) -> web.Response:
        return web.json_response({})

    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, certificate.with_name("key.pem"))
    async with serving(answer, tls) as base:
        replies = []
        for bundles in ((("SSL_CERT_FILE", certificate),), ()):
            service = Service(base, None, ca_bundles=bundles)
            async with AiohttpTransport(
                service, connections=1, open_sink=store.open_sink
            ) as client:
                replies.append(await client.send(REQUEST, "bg-1"))

    assert isinstance(replies[0], HttpResponse)
    assert isinstance(replies[1], NetworkFault)
    assert (replies[1].kind, replies[1].sent) == (FaultKind.TLS, False)
    for way_out in ("not trusted (self-signed", "providers.NAME.ca_file", "SSL_CERT_FILE"):
        assert way_out in replies[1].message


async def test_a_port_that_answers_without_tls_is_a_fault_of_tls(store: LocalStore) -> None:
    async with answering_connect(b"") as (proxy, _):
        base = f"https://127.0.0.1:{yarl.URL(proxy).port}"
        async with transport(base, store, 0.5) as client:
            silent = [await client.send(REQUEST, "k") for _ in range(2)]

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        base = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        async with transport(base, store) as client:
            answered = await client.send(REQUEST, "k")
        server.close()

    for reply in (*silent, answered):
        assert isinstance(reply, NetworkFault)
        assert not reply.sent
        assert "if the port speaks no TLS, use http://" in reply.message
    kinds = [reply.kind for reply in (*silent, answered) if isinstance(reply, NetworkFault)]
    # Without an answer it may be a passing fault, once.
    assert kinds == [FaultKind.TIMEOUT, FaultKind.TLS, FaultKind.TLS]


def test_a_ca_file_without_certificates_is_an_error(store: LocalStore, tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    for name, reason in (("none.pem", "has no PEM certificates"), ("gone.pem", "does not exist")):
        service = Service("https://h", None, ca_bundles=(("CURL_CA_BUNDLE", tmp_path / name),))
        with pytest.raises(UsageError, match=reason):
            AiohttpTransport(service, connections=1, open_sink=store.open_sink)


async def test_a_long_reply_is_accepted_only_if_one_is_expected(store: LocalStore) -> None:
    body = b'{"data": {"audio": "' + b"0f" * 3_000_000 + b'"}}'

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/json")

    async with serving(answer) as base, transport(base, store) as client:
        usual = await client.send(REQUEST, "")
        long = await client.send(replace(REQUEST, expects_long_reply=True), "")

    assert isinstance(usual, HttpResponse)
    assert usual.undecodable == "the reply without its payloads is over 4.1943 MB"
    assert body.startswith(usual.body), "its beginning is kept"
    assert len(usual.body) == 4 * 1024 * 1024
    assert isinstance(long, HttpResponse)
    assert long.body == body


async def test_long_polls_take_no_connection_from_other_requests(store: LocalStore) -> None:
    answered, waiting = asyncio.Event(), asyncio.Semaphore(0)
    plain: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        if "state" in request.query:
            waiting.release()
            await answered.wait()
        else:
            plain.append(request.path_qs)
        return web.json_response({"id": request.query.get("generation_id", "")})

    async with serving(answer) as base, transport(base, store, timeout_s=60) as client:
        long_poll = HttpRequest(
            "GET", "/v2/x?generation_id=7", {}, long_poll_path="/v2/x?state=completed"
        )
        async with asyncio.timeout(30), asyncio.TaskGroup() as group:
            for _ in range(64):
                group.create_task(client.send(long_poll, ""))
            for _ in range(64):
                await waiting.acquire()
            assert isinstance(await client.send(REQUEST, ""), HttpResponse)
            reply = await client.send(long_poll, "")
            answered.set()

    assert isinstance(reply, HttpResponse)
    assert plain == ["/v1/images/generations", "/v2/x?generation_id=7"], (
        "the 65th is an ordinary poll"
    )


async def test_there_is_no_long_poll_if_the_timeout_is_shorter(store: LocalStore) -> None:
    received: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request.path_qs)
        return web.json_response({})

    long_poll = HttpRequest("GET", "/v2/x", {}, long_poll_path="/v2/x?state=completed")
    async with serving(answer) as base, transport(base, store, timeout_s=20) as client:
        await client.send(long_poll, "")
    assert received == ["/v2/x"]
