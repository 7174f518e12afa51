"""Requests over real connections to loopback servers, well-behaved and not."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
import pytest
import yarl

from batchgen.http.client import Client, UnsendableError, UnsolicitedDataError
from batchgen.http.deadlines import Deadline, Deadlines
from batchgen.types import Timeouts
from tests.given import run_pending

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEADERS = {"User-Agent": "batchgen/9", "Authorization": "Bearer k", "X-Team": "café"}


class Server:
    """Answers every request with the same bytes; counts connections and keeps the requests."""

    def __init__(self, reply: bytes = OK, *, closes: bool = False) -> None:
        self.reply = reply
        self.closes = closes
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.writers: list[asyncio.StreamWriter] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.append(writer)
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.heads.append(head)
                length = fields(head).get("content-length", "0")
                self.bodies.append(await reader.readexactly(int(length)))
                writer.write(self.reply)
                if self.closes:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def fields(head: bytes) -> dict[str, str]:
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2]]
    return {name.lower(): value for name, value in lines}


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[Server]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server
        listener.close()


class Sender(NamedTuple):
    client: Client
    deadlines: Deadlines

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str | yarl.URL,
        *,
        headers: Mapping[str, str] | None = None,
        data: bytes | AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send a request as the transport does; yield the reply."""
        async with (
            Deadline(self.deadlines),
            self.client.slots,
            await self.client.open(
                method, yarl.URL(url), headers=headers or {}, data=data, proxy=None
            ) as reply,
        ):
            yield reply

    async def post(
        self, url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        async with self.request("POST", url, headers=headers, data=body) as reply:
            return reply.status, await reply.content.read()


@asynccontextmanager
async def a_sender(headers: Mapping[str, str] = HEADERS) -> AsyncIterator[Sender]:
    client = Client(4, headers, tls=True)
    deadlines = Deadlines(Timeouts(), 60.0)
    try:
        yield Sender(client, deadlines)
    finally:
        deadlines.close()
        await client.close()


async def test_a_request_has_its_own_headers_and_those_of_the_client() -> None:
    async with listening(Server()) as server, a_sender() as sender:
        assert await sender.post(server.url, b"body", {"X-Own": "1"}) == (200, b"{}")

    sent = fields(server.heads[0])
    assert {name: sent[name.lower()] for name in HEADERS} == HEADERS
    assert (sent["x-own"], sent["host"]) == ("1", server.url.removeprefix("http://"))
    assert server.bodies == [b"body"]


async def test_a_connection_serves_the_next_request_after_a_complete_reply() -> None:
    async with listening(Server()) as server, a_sender() as sender:
        for _ in range(5):
            assert await sender.post(server.url) == (200, b"{}")
        assert server.connections == 1


async def test_a_reply_that_was_not_read_closes_its_connection() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(10)
    async with listening(Server(reply)) as server, a_sender() as sender:
        for _ in range(2):
            async with sender.request("POST", server.url, data=b"") as unread:
                assert unread.status == 200
        assert server.connections == 2


async def test_a_server_that_closes_after_each_reply_gets_a_new_connection() -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
    async with listening(Server(reply, closes=True)) as server, a_sender() as sender:
        for _ in range(2):
            assert await sender.post(server.url) == (200, b"until the end")
        assert server.connections == 2


@pytest.mark.parametrize(
    ("reply", "found"),
    [
        (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, (200, b"{}")),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n" + OK, (200, b"{}")),
        (
            b"HTTP/1.1 429 Slow\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            (429, b"abc"),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    ],
    ids=["103", "100 and 102", "chunked", "no content"],
)
async def test_every_kind_of_reply_is_read(reply: bytes, found: tuple[int, bytes]) -> None:
    async with listening(Server(reply)) as server, a_sender() as sender:
        assert await sender.post(server.url) == found


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"", aiohttp.ServerDisconnectedError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", aiohttp.ServerDisconnectedError),
        (b"SSH-2.0-OpenSSH\r\n\r\n", aiohttp.ClientResponseError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{}", aiohttp.ClientPayloadError),
    ],
    ids=["none", "half a head", "no HTTP", "half a body"],
)
async def test_an_incomplete_or_broken_reply_is_an_error_of_aiohttp(
    reply: bytes, error: type[Exception]
) -> None:
    async with listening(Server(reply, closes=True)) as server, a_sender() as sender:
        with pytest.raises(error):
            await sender.post(server.url)


@pytest.mark.parametrize(("size_bytes", "is_read"), [(60_000, True), (70_000, False)])
async def test_a_header_may_have_64_kb(*, size_bytes: int, is_read: bool) -> None:
    reply = OK.replace(b"\r\n\r\n", b"\r\nX-Long: " + b"a" * size_bytes + b"\r\n\r\n")
    async with listening(Server(reply, closes=True)) as server, a_sender() as sender:
        if is_read:
            assert await sender.post(server.url) == (200, b"{}")
        else:
            with pytest.raises(aiohttp.ClientResponseError):
                await sender.post(server.url)


async def test_bytes_on_an_idle_connection_are_not_the_reply_to_the_next_request() -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    async with listening(Server(OK)) as server, a_sender() as sender:
        assert await sender.post(server.url) == (200, b"{}")
        server.writers[0].write(late)
        await run_pending()
        assert await sender.post(server.url) == (200, b"{}")
        assert server.connections == 2


async def test_a_server_that_always_sends_first_is_an_error() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener, a_sender() as sender:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        with pytest.raises((UnsolicitedDataError, aiohttp.ClientResponseError)):
            await sender.post(url)


async def test_a_host_that_cannot_be_reached_is_an_error_of_aiohttp() -> None:
    async with listening(Server()) as server:
        url = server.url
    async with a_sender() as sender:
        with pytest.raises(aiohttp.ClientConnectorError):
            await sender.post(url)


@pytest.mark.parametrize("text", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b", "\x7f"])
async def test_a_control_character_in_a_header_is_refused(text: str) -> None:
    async with listening(Server()) as server, a_sender() as sender:
        for headers in ({"X-Key": text}, {text: "value"}):
            with pytest.raises(UnsendableError, match="cannot be sent"):
                await sender.post(server.url, headers=headers)
        assert server.heads == []


class Closing(Server):
    """Answers the first request of a connection, and closes it when the second one arrives."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for answered in (False, True):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await reader.readexactly(int(fields(head).get("content-length", "0")))
            if not answered:
                writer.write(self.reply)
        writer.close()


async def test_a_get_is_sent_again_if_its_connection_was_closed_and_a_post_is_not() -> None:
    async with listening(Closing()) as server, a_sender() as sender:
        for _ in range(2):
            async with sender.request("GET", server.url) as reply:
                assert await reply.content.read() == b"{}"
        assert len(server.heads) == 3
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await sender.post(server.url)
        assert len(server.heads) == 4


async def test_a_user_in_a_url_is_sent_as_basic_authorization() -> None:
    async with listening(Server()) as server, a_sender({}) as sender:
        url = yarl.URL(server.url).with_user("fox").with_password("den")
        async with sender.request("GET", url) as reply:
            await reply.content.read()
    sent = fields(server.heads[0])
    assert sent["authorization"] == "Basic Zm94OmRlbg=="
    assert sent["host"] == server.url.removeprefix("http://")


async def test_a_streamed_body_is_sent_with_its_length() -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    headers = {"Content-Length": "7"}
    async with (
        listening(Server()) as server,
        a_sender() as sender,
        sender.request("POST", server.url, headers=headers, data=chunks()) as reply,
    ):
        assert reply.status == 200
    assert server.bodies == [b"one two"]
