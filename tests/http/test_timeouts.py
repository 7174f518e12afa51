"""A request to a slow server ends after the timeout that applies."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from batchgen.http.service import Service
from batchgen.http.transport import AiohttpTransport
from batchgen.storage.artifacts import LocalStore
from batchgen.types import FaultKind, HttpRequest, NetworkFault, Reply, Timeouts

REQUEST = HttpRequest("POST", "/v1/images/generations", {"model": "m"})
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
LONG_S = 60.0
SHORT_S = 0.15

Act = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(act: Act) -> AsyncIterator[str]:
    """Run a server that calls `act` with every connection, until the block ends."""
    connections: set[asyncio.Task[None]] = set()

    async def run(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await act(reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(asyncio.create_task(run(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.close()
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)


async def never_answers(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    await reader.read()


async def stops_half_way(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD + b'{"data": [')
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(HEAD)
    while not reader.at_eof():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(SHORT_S / 5)


async def drips_its_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    while not reader.at_eof():
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(SHORT_S / 5)


@pytest.fixture
def store(tmp_path: Path) -> LocalStore:
    store = LocalStore(tmp_path, is_taken=lambda _: False)
    store.prepare()
    return store


async def _send(base_url: str, store: LocalStore, timeout_s: float, timeouts: Timeouts) -> Reply:
    service = Service(base_url, None, timeout_s=timeout_s, timeouts=timeouts)
    async with (
        asyncio.timeout(LONG_S / 2),
        AiohttpTransport(service, connections=1, open_sink=store.open_sink) as transport,
    ):
        return await transport.send(REQUEST, "k")


@pytest.mark.parametrize(
    ("act", "timeout_s", "timeouts"),
    [
        (never_answers, SHORT_S, Timeouts()),
        (never_answers, LONG_S, Timeouts(first_byte_s=SHORT_S)),
        (drips_its_head, LONG_S, Timeouts(first_byte_s=SHORT_S)),
        (stops_half_way, LONG_S, Timeouts(stall_s=SHORT_S)),
        (stops_half_way, SHORT_S, Timeouts()),
        (drips, SHORT_S, Timeouts()),
    ],
)
async def test_a_request_to_a_slow_server_times_out_and_counts_as_sent(
    act: Act, timeout_s: float, timeouts: Timeouts, store: LocalStore, tmp_path: Path
) -> None:
    async with serving(act) as base_url:
        reply = await _send(base_url, store, timeout_s, timeouts)

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (FaultKind.TIMEOUT, True)
    assert list((tmp_path / ".batchgen" / "tmp").iterdir()) == []


async def test_a_request_that_gets_no_slot_in_time_does_not_count_as_sent(
    store: LocalStore,
) -> None:
    async with serving(never_answers) as base_url:
        service = Service(base_url, None, timeout_s=SHORT_S)
        async with (
            asyncio.timeout(LONG_S / 2),
            AiohttpTransport(service, connections=1, open_sink=store.open_sink) as transport,
        ):
            replies = await asyncio.gather(*(transport.send(REQUEST, "k") for _ in range(2)))

    faults = [reply for reply in replies if isinstance(reply, NetworkFault)]
    assert [(fault.kind, fault.sent) for fault in faults] == [
        (FaultKind.TIMEOUT, True),
        (FaultKind.TIMEOUT, False),
    ]


async def test_waiting_for_a_slot_does_not_count_as_connecting(store: LocalStore) -> None:
    async def answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"{"):
            await asyncio.sleep(3 * SHORT_S)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    async with serving(answers) as base_url:
        service = Service(base_url, None, timeouts=Timeouts(connect_s=SHORT_S))
        async with (
            asyncio.timeout(LONG_S / 2),
            AiohttpTransport(service, connections=1, open_sink=store.open_sink) as transport,
        ):
            replies = await asyncio.gather(*(transport.send(REQUEST, "k") for _ in range(3)))

    assert not any(isinstance(reply, NetworkFault) for reply in replies)


async def test_a_connect_timeout_does_not_count_as_sent(store: LocalStore) -> None:
    def never_shakes_hands() -> asyncio.Protocol:
        return asyncio.Protocol()

    loop = asyncio.get_running_loop()
    async with await loop.create_server(never_shakes_hands, "127.0.0.1", 0) as server:
        base_url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        reply = await _send(base_url, store, LONG_S, Timeouts(connect_s=SHORT_S))

    assert isinstance(reply, NetworkFault)
    assert (reply.kind, reply.sent) == (FaultKind.TIMEOUT, False)
    assert "if the port speaks no TLS, use http://" in reply.message


async def test_the_first_byte_may_take_longer_than_the_stall_timeout(store: LocalStore) -> None:
    async def late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(3 * SHORT_S)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
        await reader.read()

    async with serving(late) as base_url:
        reply = await _send(base_url, store, LONG_S, Timeouts(stall_s=SHORT_S))
    assert not isinstance(reply, NetworkFault)


async def test_a_download_that_stalls_times_out(store: LocalStore) -> None:
    async with serving(stops_half_way) as base_url:
        service = Service(base_url, None, timeout_s=LONG_S, timeouts=Timeouts(stall_s=SHORT_S))
        async with AiohttpTransport(service, connections=1, open_sink=store.open_sink) as client:
            reply = await client.fetch(base_url + "/a.png")
    assert isinstance(reply, NetworkFault)
    assert reply.kind is FaultKind.TIMEOUT
