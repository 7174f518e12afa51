"""The proxy of a URL by the environment variables."""

import pytest
from yarl import URL

from batchgen.http.proxy import is_exempt, proxy_for

PROXIES = {"http": "http://plain:1", "all": "http://rest:2", "no": "example.com,10.0.0.7"}


@pytest.mark.parametrize(
    ("url", "proxy"),
    [
        ("http://a.test/x", "http://plain:1"),
        ("https://a.test/x", "http://rest:2"),
        ("https://example.com", None),
        ("https://cdn.example.com", None),
        ("https://notexample.com", "http://rest:2"),
        ("http://10.0.0.7:8000", None),
        ("http://127.0.0.1:8000", None),
        ("http://[::1]:8000", None),
        ("http://localhost", None),
    ],
)
def test_each_url_uses_the_proxy_of_its_scheme_unless_exempt(url: str, proxy: str | None) -> None:
    assert proxy_for(URL(url), PROXIES) == proxy


def test_a_star_in_no_proxy_exempts_every_host() -> None:
    assert proxy_for(URL("http://a.test"), {**PROXIES, "no": "*"}) is None


def test_without_variables_the_connection_is_direct() -> None:
    assert proxy_for(URL("https://a.test"), {}) is None


@pytest.mark.parametrize(
    ("exempt", "host", "port", "is_direct"),
    [
        # Names, and the domains above them.
        ("example.com", "example.com", 443, True),
        ("example.com", "cdn.example.com", 443, True),
        ("example.com", "notexample.com", 443, False),
        (".example.com", "cdn.example.com", 443, True),
        (".example.com", "example.com", 443, True),
        ("*.example.com", "cdn.example.com", 443, True),
        ("EXAMPLE.com.", "Example.COM", 443, True),
        ("example.com", "example.com.", 443, True),
        ("com", "example.com", 443, True),
        ("example.co", "example.com", 443, False),
        # Commas, blanks, and what lies between them.
        ("a.test,b.test", "b.test", 443, True),
        ("a.test b.test", "b.test", 443, True),
        (" a.test ,\tb.test\n", "b.test", 443, True),
        (",, ,", "b.test", 443, False),
        ("", "b.test", 443, False),
        (".", "b.test", 443, False),
        # Everything.
        ("*", "b.test", 443, True),
        ("a.test,*", "10.0.0.1", 443, True),
        # Ports.
        ("a.test:8080", "a.test", 8080, True),
        ("a.test:8080", "a.test", 443, False),
        ("a.test:8080", "cdn.a.test", 8080, True),
        (".a.test:8080", "cdn.a.test", 8080, True),
        ("10.0.0.7:81", "10.0.0.7", 81, True),
        ("10.0.0.7:81", "10.0.0.7", 82, False),
        ("[fd00::7]:81", "fd00::7", 81, True),
        ("[fd00::7]:81", "fd00::7", 82, False),
        # Addresses and networks.
        ("224.0.0.5", "224.0.0.5", 81, True),
        ("0.0.5", "224.0.0.5", 81, False),
        ("224.0.0.0/4", "224.0.0.5", 81, True),
        ("10.0.0.0/8", "10.255.0.1", 443, True),
        ("10.0.0.0/8", "11.0.0.1", 443, False),
        ("10.1.2.3/8", "10.9.9.9", 443, True),
        ("10.0.0.0/255.0.0.0", "10.9.9.9", 443, True),
        ("10.0.0.0/8:81", "10.9.9.9", 81, True),
        ("10.0.0.0/8", "10.example.com", 443, False),
        ("10.0.0.0/33", "10.0.0.1", 443, False),
        ("192.168.*", "192.168.7.7", 443, True),
        ("fd00::/8", "fd12::1", 443, True),
        ("[fd00::]/8", "fd12::1", 443, True),
        ("fd00::/8", "fe80::1", 443, False),
        ("fd00::7", "fd00:0:0:0::7", 443, True),
        ("[FD00::7]", "fd00::7", 443, True),
        ("10.0.0.0/8", "::ffff:10.0.0.1", 443, True),
        ("fe80::1", "fe80::1%eth0", 443, True),
        ("a/b", "a", 443, False),
        ("[", "a", 443, False),
    ],
)
def test_no_proxy_lists_names_networks_and_ports(
    *, exempt: str, host: str, port: int, is_direct: bool
) -> None:
    assert is_exempt(host, port, exempt) == is_direct


@pytest.mark.parametrize(
    "url", ["http://[::ffff:127.0.0.1]/", "http://127.9.9.9/", "http://api.localhost/"]
)
def test_loopback_has_no_proxy(url: str) -> None:
    assert proxy_for(URL(url), PROXIES) is None
