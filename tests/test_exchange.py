"""The short way of a request: on the wire it is what a session of aiohttp sends."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager

import aiohttp
import pytest
import yarl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from batchgen.exchange import Client
from tests.given import settle

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
HEADERS = {"User-Agent": "batchgen/9", "Authorization": "Bearer k", "X-Team": "café"}
TOKENS = st.text("abcXYZ-09", min_size=1, max_size=8)
VALUES = st.text(st.characters(min_codepoint=0x20, exclude_categories=("Cs", "Cc"))).map(str.strip)

Answer = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class Server:
    """Answers every request with the same bytes; keeps what came, and over which connection."""

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


def lines_of(head: bytes) -> list[tuple[str, str]]:
    """The header lines, sorted: their order means nothing, that one stands twice does."""
    lines = [line.split(": ", 1) for line in head.decode().split("\r\n")[1:-2]]
    return sorted((name.lower(), value) for name, value in lines)


def fields(head: bytes) -> dict[str, str]:
    return dict(lines_of(head))


@asynccontextmanager
async def listening(server: Server) -> AsyncIterator[Server]:
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0) as listener:
        server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        yield server
        listener.close()


@asynccontextmanager
async def a_client(headers: Mapping[str, str] = HEADERS) -> AsyncIterator[Client]:
    connector = aiohttp.TCPConnector(limit=4)
    client = Client(connector, headers=headers, connect_s=5.0, piece_bytes=1 << 16)
    try:
        yield client
    finally:
        await client.close()


async def post(
    client: Client, url: str, body: bytes = b"{}", headers: Mapping[str, str] | None = None
) -> tuple[int, bytes]:
    async with client.request(
        "POST", yarl.URL(url), headers=headers or {}, data=body, proxy=None
    ) as reply:
        return reply.status, await reply.content.read()


async def _as_a_session_sends_it(
    server: Server, path: str, body: bytes, headers: Mapping[str, str]
) -> None:
    url = yarl.URL(server.url + path)
    async with a_client() as client:
        await post(client, str(url), body, headers)
        async with client.request("GET", url, headers=headers, data=None, proxy=None) as reply:
            await reply.content.read()
    async with aiohttp.ClientSession(headers=HEADERS) as session:
        typed = {"Content-Type": "application/json", **headers}
        async with session.post(url, data=body, headers=typed) as response:
            await response.read()
        async with session.get(url, headers=headers) as response:
            await response.read()


@given(
    path=st.sampled_from(["/v1/images", "/a%20b?q=%2F&r=1", ""]),
    body=st.binary(max_size=300),
    headers=st.dictionaries(TOKENS.map("X-A-{}".format), VALUES, max_size=4),
)
@settings(deadline=None, max_examples=50, suppress_health_check=[HealthCheck.too_slow])
def test_a_request_is_the_one_that_a_session_would_send(
    path: str, body: bytes, headers: dict[str, str]
) -> None:
    async def both() -> Server:
        async with listening(Server()) as server:
            await _as_a_session_sends_it(
                server, path, body, {"Content-Type": "application/json", **headers}
            )
        return server

    server = asyncio.run(both())

    assert server.bodies == [body, b"", body, b""]
    lines = [head.split(b"\r\n", 1)[0] for head in server.heads]
    assert lines[:2] == lines[2:]
    told = [lines_of(head) for head in server.heads]
    assert told[:2] == told[2:]


async def test_what_was_read_to_its_end_leaves_its_connection_to_the_next() -> None:
    async with listening(Server()) as server, a_client() as client:
        for _ in range(5):
            assert await post(client, server.url) == (200, b"{}")
        assert server.connections == 1


async def test_what_was_not_read_takes_its_connection_along() -> None:
    reply = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + bytes(10)
    async with listening(Server(reply)) as server, a_client() as client:
        for _ in range(2):
            async with client.request(
                "POST", yarl.URL(server.url), headers={}, data=b"", proxy=None
            ) as reply_of_it:
                assert reply_of_it.status == 200
        assert server.connections == 2


async def test_a_server_that_closes_after_each_reply_gets_a_new_connection() -> None:
    reply = b"HTTP/1.1 200 OK\r\n\r\nuntil the end"
    async with listening(Server(reply, closes=True)) as server, a_client() as client:
        for _ in range(2):
            assert await post(client, server.url) == (200, b"until the end")
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
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: "
            + str(len(gzip.compress(b"fox"))).encode()
            + b"\r\n\r\n"
            + gzip.compress(b"fox"),
            (200, b"fox"),
        ),
        (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    ],
    ids=["103", "100 and 102", "chunked", "gzip", "no content"],
)
async def test_replies_of_every_kind_are_read(reply: bytes, found: tuple[int, bytes]) -> None:
    async with listening(Server(reply)) as server, a_client() as client:
        assert await post(client, server.url) == found


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
async def test_a_reply_that_is_none_is_an_error_of_aiohttp(
    reply: bytes, error: type[Exception]
) -> None:
    async with listening(Server(reply, closes=True)) as server, a_client() as client:
        with pytest.raises(error):
            await post(client, server.url)


async def test_what_a_server_says_unasked_is_no_reply_to_the_next_request() -> None:
    late = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    async with listening(Server(OK)) as server, a_client() as client:
        assert await post(client, server.url) == (200, b"{}")
        server.writers[0].write(late)
        await settle()
        assert await post(client, server.url) == (200, b"{}")
        assert server.connections == 2


async def test_a_server_that_never_waits_to_be_asked_is_given_up() -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example\r\n")
        await reader.read()
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0) as listener, a_client() as client:
        url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
        with pytest.raises(aiohttp.ClientError):
            await post(client, url)


async def test_a_host_that_cannot_be_reached_is_an_error_of_aiohttp() -> None:
    async with listening(Server()) as server:
        url = server.url
    async with a_client() as client:
        with pytest.raises(aiohttp.ClientConnectorError):
            await post(client, url)


@pytest.mark.parametrize("text", ["a\r\nX-Other: b", "a\nb", "a\rb", "a\0b", "\x7f"])
async def test_no_header_breaks_out_of_its_line(text: str) -> None:
    async with listening(Server()) as server, a_client() as client:
        for headers in ({"X-Key": text}, {text: "value"}):
            with pytest.raises(ValueError, match="break out of its line"):
                await post(client, server.url, headers=headers)
        assert server.heads == []


async def test_an_error_names_the_host_and_no_address_of_another_request() -> None:
    server = Server(b"no HTTP\r\n\r\n", closes=True)
    async with listening(server), a_client() as client:
        for path in ("/first?signature=canary", "/second"):
            with pytest.raises(aiohttp.ClientResponseError) as caught:
                await post(client, server.url + path)
            assert "canary" not in str(caught.value.request_info)


class Closing(Server):
    """Answers the first request of a connection, and closes as the second one comes."""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        for answered in (False, True):
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            await reader.readexactly(int(fields(head).get("content-length", "0")))
            if not answered:
                writer.write(self.reply)
        writer.close()


async def test_a_get_goes_out_again_where_its_connection_is_found_closed_and_a_post_does_not() -> (
    None
):
    async with listening(Closing()) as server, a_client() as client:
        for _ in range(2):
            async with client.request(
                "GET", yarl.URL(server.url), headers={}, data=None, proxy=None
            ) as reply:
                assert await reply.content.read() == b"{}"
        assert len(server.heads) == 3
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await post(client, server.url)
        assert len(server.heads) == 4


async def test_a_user_in_a_url_is_told_as_a_session_tells_it() -> None:
    async with listening(Server()) as server, a_client({}) as client:
        url = yarl.URL(server.url).with_user("fox").with_password("den")
        async with client.request("GET", url, headers={}, data=None, proxy=None) as reply:
            await reply.content.read()
    told = fields(server.heads[0])
    assert told["authorization"] == "Basic Zm94OmRlbg=="
    assert told["host"] == server.url.removeprefix("http://")


async def test_a_body_in_pieces_goes_out_through_the_session() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"one "
        yield b"two"

    async with (
        listening(Server()) as server,
        a_client() as client,
        client.request(
            "POST",
            yarl.URL(server.url),
            headers={"Content-Length": "7"},
            data=pieces(),
            proxy=None,
        ) as reply,
    ):
        assert reply.status == 200
    assert server.bodies == [b"one two"]
