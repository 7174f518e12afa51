"""The proxy of a URL by the environment variables."""

import pytest
from yarl import URL

from batchgen.http.proxy import proxy_for

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
