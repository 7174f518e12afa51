"""Which URLs may be fetched, by their text and by the addresses that names resolve to."""

import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import aiohttp
import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.test_utils import TestServer
from hypothesis import given, settings
from hypothesis import strategies as st

from batchgen.http.ssrf import (
    ForbiddenAddressError,
    GuardedResolver,
    UrlGuard,
    exact_url,
    is_public,
)

PUBLIC_PROVIDER = "https://api.aimlapi.com/v1"

FORBIDDEN = [
    "0.0.0.0",  # noqa: S104  # an address to be refused, not one to listen at
    "10.1.2.3",
    "100.64.0.1",
    "100.127.255.254",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.9",
    "192.0.0.192",
    "192.168.0.1",
    "198.18.0.1",
    "203.0.113.9",
    "224.0.0.251",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::ffff:127.0.0.1",
    "::ffff:a9fe:a9fe",
    "64:ff9b::10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "2002:7f00:1::",
    "2002:c0a8:1::1",
    "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "2001:db8::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
]
PERMITTED = [
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.169.0.1",
    "2606:4700:4700::1111",
    "64:ff9b::8.8.8.8",
    "::ffff:8.8.8.8",
    "2002:808:808::1",
]


class FixedResolver(AbstractResolver):
    """Resolves host names from a table."""

    def __init__(self, table: dict[str, list[str]]) -> None:
        self.table = table
        self.is_closed = False

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=0)
            for address in self.table[host]
        ]

    async def close(self) -> None:
        self.is_closed = True


def resolver(*addresses: str, base_url: str = PUBLIC_PROVIDER) -> GuardedResolver:
    return GuardedResolver(UrlGuard(base_url), FixedResolver({"files.example.test": [*addresses]}))


@pytest.mark.parametrize("address", FORBIDDEN)
async def test_a_name_that_resolves_to_a_private_address_is_refused(address: str) -> None:
    with pytest.raises(ForbiddenAddressError, match="not a public address") as raised:
        await resolver(address).resolve("files.example.test", 443)
    assert isinstance(raised.value, OSError)
    assert address in str(raised.value)


@pytest.mark.parametrize("address", PERMITTED)
async def test_a_name_that_resolves_to_a_public_address_is_permitted(address: str) -> None:
    results = await resolver(address).resolve("files.example.test", 443)
    assert [result["host"] for result in results] == [address]


async def test_only_the_public_ones_of_mixed_addresses_are_returned() -> None:
    results = await resolver("127.0.0.1", "8.8.8.8", "::1").resolve("files.example.test", 443)
    assert [result["host"] for result in results] == ["8.8.8.8"]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_a_literal_private_address_is_refused(address: str) -> None:
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    for url in (f"http://{host}/a.png", f"https://{host}:8443/a.png?x=1"):
        reason = UrlGuard(PUBLIC_PROVIDER).refusal(url)
        assert reason
        assert "not a public address" in reason


@pytest.mark.parametrize("address", PERMITTED)
def test_a_literal_public_address_is_permitted(address: str) -> None:
    host = f"[{address}]" if ":" in address else address
    assert UrlGuard(PUBLIC_PROVIDER).refusal(f"http://{host}/a.png") is None


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("ftp://example.test/a", "its scheme is 'ftp'"),
        ("file:///etc/passwd", "its scheme is 'file'"),
        ("data:image/png;base64,QUJD", "its scheme is 'data'"),
        ("//example.test/a", "its scheme is 'missing'"),
        ("a.png", "its scheme is 'missing'"),
        ("", "its scheme is 'missing'"),
        ("http:///a.png", "it has no host"),
        ("https://user@example.test/a", "user name or password"),
        ("https://:secret@example.test/a", "user name or password"),
        ("http://8.8.8.8@127.0.0.1/", "user name or password"),
        ("http://example.test:99999/", "not a URL"),
        ("http://[::1/", "not a URL"),
        ("http://good.test\\@127.0.0.1/", "not a URL"),
        ("http://2130706433/", "not written in the form"),
        ("http://0x7f000001/", "not written in the form"),
        ("http://0x7f.1/", "not written in the form"),
        ("http://017700000001/", "not written in the form"),
        ("http://0177.0.0.1/", "not written in the form"),
        ("http://127.1/", "not written in the form"),
        ("http://134744072/", "not written in the form"),
        ("http://127.0.0.1./", "not a public address"),
        ("HTTP://127.0.0.1", "not a public address"),
        ("http://%31%32%37.0.0.1/", "not a public address"),
        ("http://\uff11\uff12\uff17.0.0.1/", "not a public address"),
        ("http://127\u30020\u30020\u30021/", "not a public address"),
        (" http://127.0.0.1/ ", "not a public address"),
        ("http://[::FFFF:127.0.0.1]/", "not a public address"),
    ],
)
def test_a_refused_url_has_a_reason(url: str, reason: str) -> None:
    assert reason in (UrlGuard(PUBLIC_PROVIDER).refusal(url) or "it was not refused")


@pytest.mark.parametrize(
    "url",
    [
        "https://cdn.aimlapi.com/generations/a b.png",
        "http://example.test:8080/a?X-Amz-Signature=a%2Fb",
        "https://b\u00fccher.example.test/\u00fc.png",
        "https://127.0.0.1.example.test/",
        "https://7f000001.example.test/",
    ],
)
def test_an_ordinary_url_is_permitted(url: str) -> None:
    assert UrlGuard(PUBLIC_PROVIDER).refusal(url) is None


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8000/v1",
        "http://[::1]:8000",
        "http://192.168.1.20/v1",
        "http://localhost:8000/v1",
        "http://api.localhost/v1",
    ],
)
async def test_a_provider_at_a_private_address_may_name_other_private_addresses(
    base_url: str,
) -> None:
    guard = UrlGuard(base_url)
    assert guard.refusal("http://127.0.0.1:9000/a.png") is None
    assert guard.refusal("http://10.0.0.5/a.png") is None
    assert guard.refusal("ftp://10.0.0.5/a.png")
    assert guard.refusal("http://127.1/a.png")
    results = await resolver("10.0.0.5", base_url=base_url).resolve("files.example.test", 80)
    assert len(results) == 1


@pytest.mark.parametrize(
    ("base_url", "connected_to", "permitted", "refused"),
    [
        ("http://gpu-box:8000/v1", [], [], ["10.0.0.5", "127.0.0.1"]),
        ("http://gpu-box:8000/v1", ["10.0.0.5"], ["10.0.0.5", "10.0.0.6"], ["169.254.169.254"]),
        ("http://home.evil.test/v1", ["8.8.8.8"], ["8.8.4.4"], ["127.0.0.1", "10.0.0.5"]),
        # The name turns private later: where the first connections went counts.
        ("http://home.evil.test/v1", ["8.8.8.8", "127.0.0.1"], [], ["127.0.0.1", "10.0.0.5"]),
        ("http://home.evil.test/v1", ["10.0.0.5", "8.8.8.8"], [], ["127.0.0.1", "10.0.0.5"]),
        ("https://8.8.8.8/v1", ["10.0.0.5"], [], ["10.0.0.5"]),
        ("http://gpu.local/v1", ["169.254.7.7"], ["169.254.7.7", "10.0.0.5"], ["169.254.7.8"]),
        ("http://gpu.local/v1", ["169.254.169.254"], [], ["169.254.169.254"]),
        ("http://169.254.7.7/v1", [], ["169.254.7.7", "169.254.7.8"], ["169.254.169.254"]),
        ("http://169.254.169.254/v1", [], ["169.254.169.254"], []),
    ],
)
def test_base_url_and_api_connections_decide_which_addresses_are_permitted(
    base_url: str, connected_to: list[str], permitted: list[str], refused: list[str]
) -> None:
    guard = UrlGuard(base_url)
    for address in connected_to:
        guard.learn(address)
    for address in (*permitted, *refused):
        is_permitted = address in permitted
        assert guard.allows_address(address) == is_permitted, address
        assert (guard.refusal(f"http://{address}/a.png") is None) == is_permitted, address


LINK_LOCAL = [
    "169.254.169.254",
    "169.254.0.1",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "64:ff9b:1::169.254.169.254",
    "2002:a9fe:a9fe::1",
]


@pytest.mark.parametrize("address", LINK_LOCAL)
@pytest.mark.parametrize("base_url", ["http://127.0.0.1:8000/v1", "http://gpu-box/v1"])
async def test_a_private_provider_cannot_name_a_link_local_address(
    base_url: str, address: str
) -> None:
    guard = UrlGuard(base_url)
    guard.learn("10.0.0.5")
    host = f"[{address.replace('%', '%25')}]" if ":" in address else address
    assert "link-local" in (guard.refusal(f"http://{host}/latest/meta-data") or "permitted")
    guarded = GuardedResolver(guard, FixedResolver({"files.example.test": [address]}))
    with pytest.raises(ForbiddenAddressError, match="link-local"):
        await guarded.resolve("files.example.test", 80)


async def test_the_providers_name_in_a_reply_is_checked_like_any_other() -> None:
    guard = UrlGuard("http://home.evil.test/v1")
    guard.learn("8.8.8.8")
    guarded = GuardedResolver(guard, FixedResolver({"home.evil.test": ["127.0.0.1"]}))
    with pytest.raises(ForbiddenAddressError):
        await guarded.resolve("home.evil.test", 80)
    await guarded.decide()
    with pytest.raises(ForbiddenAddressError):
        await guarded.resolve("home.evil.test", 80)


@pytest.mark.parametrize(
    ("addresses", "is_permitted"),
    [(["10.0.0.5"], True), (["8.8.8.8"], False), (["10.0.0.5", "8.8.8.8"], False)],
)
async def test_without_a_connection_the_base_url_is_resolved_once(
    addresses: list[str], *, is_permitted: bool
) -> None:
    guard = UrlGuard("http://gpu-box:8000/v1")
    table = {"gpu-box": addresses}
    guarded = GuardedResolver(guard, FixedResolver(table))
    await guarded.decide()
    table["gpu-box"] = ["10.0.0.5"]
    await guarded.decide()
    assert guard.allows_address("10.0.0.6") == is_permitted


async def test_the_resolver_closes_what_it_wraps() -> None:
    inner = FixedResolver({})
    await GuardedResolver(UrlGuard(PUBLIC_PROVIDER), inner).close()
    assert inner.is_closed


@settings(deadline=None)
@given(st.ip_addresses(v=4))
def test_an_ipv4_address_is_judged_the_same_in_every_ipv6_form(address: IPv4Address) -> None:
    number = int(address)
    for form in (
        (0xFFFF << 32) + number,
        (0x64FF9B << 96) + number,
        (0x2002 << 112) + (number << 80),
    ):
        assert is_public(IPv6Address(form)) == is_public(address)


@settings(deadline=None)
@given(st.text() | st.ip_addresses().map(str).map("http://{}/".format))
def test_arbitrary_text_never_raises(text: str) -> None:
    UrlGuard(PUBLIC_PROVIDER).refusal(text)
    UrlGuard(PUBLIC_PROVIDER).refusal(f"http://{text}")


def test_forbidden_addresses_are_never_public() -> None:
    assert not any(is_public(ip_address(address)) for address in FORBIDDEN)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://x.test/a%2Fb%zz?sig=a%2bB%3d&x=+&y=a/b?c,;:@!$'()*~|{}\"<>^`", None),
        ("https://x.test/a/../b//c?&&=", None),
        ("https://x.test/a b?q=c d", "https://x.test/a%20b?q=c%20d"),
        ("https://x.test/\u00e4?q=\u4e2d", "https://x.test/%C3%A4?q=%E4%B8%AD"),
        ("https://x.test/a\x00b\x7f", "https://x.test/a%00b%7F"),
        ("https://b\u00fccher.test:81/\u00fc?a=%2f", "https://xn--bcher-kva.test:81/%C3%BC?a=%2f"),
        ("  https://x.test/a ", "https://x.test/a"),
    ],
)
def test_a_url_is_sent_unchanged_except_for_unsendable_characters(
    url: str, sent: str | None
) -> None:
    assert str(exact_url(url)) == (sent or url)


@pytest.fixture
async def server() -> AsyncIterator[tuple[TestServer, list[str]]]:
    received: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        received.append(request.raw_path)
        if request.path == "/go":
            raise web.HTTPFound(f"http://127.0.0.1:{request.url.port}/secret")
        return web.Response(body=b"file")

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    running = TestServer(app)
    async with running:
        yield running, received


async def fetch(server: TestServer, base_url: str, path: str) -> tuple[int, str]:
    """Status and `Location` of files.example.test, which is the loopback server."""
    table = {"files.example.test": ["127.0.0.1"]}
    connector = aiohttp.TCPConnector(
        resolver=GuardedResolver(UrlGuard(base_url), FixedResolver(table))
    )
    async with aiohttp.ClientSession(connector=connector) as session:
        url = exact_url(f"http://files.example.test:{server.port}{path}")
        async with session.get(url, allow_redirects=False) as reply:
            return reply.status, reply.headers.get("Location", "")


async def test_no_request_reaches_a_private_address(server: tuple[TestServer, list[str]]) -> None:
    running, received = server
    with pytest.raises(aiohttp.ClientConnectorError) as raised:
        await fetch(running, PUBLIC_PROVIDER, "/a.png")
    assert isinstance(raised.value.os_error, ForbiddenAddressError)
    assert received == []


async def test_a_redirect_to_loopback_is_refused_for_a_public_provider(
    server: tuple[TestServer, list[str]],
) -> None:
    running, received = server
    status, location = await fetch(running, "http://127.0.0.1/v1", "/go")
    assert status == 302
    assert "127.0.0.1 is not a public address" in (
        UrlGuard(PUBLIC_PROVIDER).refusal(location) or ""
    )
    assert UrlGuard("http://127.0.0.1/v1").refusal(location) is None
    assert received == ["/go"]


async def test_a_signed_query_arrives_unchanged(
    server: tuple[TestServer, list[str]],
) -> None:
    running, received = server
    path = "/a%2Fb.png?sig=a%2bB%3d&x=+&se=2026-08-21T10%3A30%3A00Z&q={}|~"
    assert await fetch(running, "http://127.0.0.1/v1", path) == (200, "")
    assert received == [path]
