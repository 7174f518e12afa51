"""Keys, header values and proxies from the environment, and that none of them is printed."""

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from batchgen.errors import UsageError
from batchgen.job import PROVIDERS, Provider, access_of

LAB = Provider(
    "lab",
    "https://lab.example",
    ("LAB_KEY",),
    needs_key=False,
    headers={"Authorization": "Token ${TOKEN}", "X-Plain": "batch"},
)


def test_headers_take_their_values_from_the_environment() -> None:
    access = access_of(LAB, {"TOKEN": " t-canary-1 "})
    assert access.headers == {"Authorization": "Token t-canary-1", "X-Plain": "batch"}
    assert access.secrets == ("t-canary-1",)
    assert "canary" not in repr(access)


def test_all_keys_that_the_job_knows_and_passwords_of_proxies_are_secrets() -> None:
    lab = replace(LAB, other_variables=("OTHER_KEY",))
    environment = {
        "TOKEN": "t-canary-1",
        "LAB_KEY": "l-canary-2",
        "OTHER_KEY": "o-canary-3",
        "OPENAI_API_KEY": "a-canary-4",
        "HTTPS_PROXY": "http://me:p%2Fcanary-5@proxy:8080",
    }
    access = access_of(lab, environment)
    assert set(access.secrets) == {
        *("t-canary-1", "l-canary-2", "o-canary-3", "a-canary-4"),
        *("p%2Fcanary-5", "p/canary-5"),
    }
    assert {"TOKEN", "LAB_KEY", "OTHER_KEY", "OPENAI_API_KEY"} <= set(access.secret_variables)
    assert "canary" not in repr(access)


@pytest.mark.parametrize("environment", [{}, {"TOKEN": " "}])
def test_a_missing_variable_is_named(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError, match=r"providers\.lab\.headers\.Authorization.*set TOKEN in"):
        access_of(LAB, environment)


def test_an_invalid_header_value_is_refused_and_not_printed() -> None:
    with pytest.raises(UsageError) as raised:
        access_of(LAB, {"TOKEN": "canary\r\nX-Evil: 1"})
    assert "canary" not in str(raised.value)


def test_key_variables_are_read_in_the_documented_order() -> None:
    environment = {"AIML_API_KEY": "third-key", "AIMLAPI_KEY": "second-key"}
    assert access_of(PROVIDERS["aimlapi"], environment).key == "second-key"
    environment["AIMLAPI_API_KEY"] = "first-key"
    assert access_of(PROVIDERS["aimlapi"], environment).key == "first-key"


@pytest.mark.parametrize(
    ("environment", "proxies"),
    [
        ({"HTTP_PROXY": "http://p:1", "no_proxy": "a,b"}, {"http": "http://p:1", "no": "a,b"}),
        ({"HTTPS_PROXY": "p:1"}, {"https": "http://p:1"}),
        ({"https_proxy": "", "HTTPS_PROXY": "p"}, {}),
        ({"HTTP_PROXY": "p", "REQUEST_METHOD": "GET"}, {}),
    ],
)
def test_proxies_are_read_as_curl_reads_them(
    environment: dict[str, str], proxies: dict[str, str]
) -> None:
    assert access_of(PROVIDERS["simulator"], environment).proxies == proxies


@pytest.mark.parametrize("proxy", ["http://p:port", "http://p:0", "http://[::1", "http://"])
def test_a_proxy_that_is_no_url_is_refused(proxy: str) -> None:
    with pytest.raises(UsageError, match="HTTPS_PROXY is not an http or https proxy"):
        access_of(PROVIDERS["simulator"], {"HTTPS_PROXY": proxy})


def test_certificates_are_those_of_the_job_and_of_the_usual_variables(tmp_path: Path) -> None:
    lab = replace(LAB, base_url="https://lab.example", ca_file=Path("lab.pem"), headers={})
    environment = {
        "SSL_CERT_FILE": "a.pem",
        "REQUESTS_CA_BUNDLE": "b.pem",
        "CURL_CA_BUNDLE": " ",
        "SSL_CERT_DIR": os.pathsep.join(["missing", str(tmp_path), ""]),
    }
    own = (f"providers.{lab.name}.ca_file", Path("lab.pem"))
    assert access_of(lab, environment).ca_bundles == (
        own,
        ("SSL_CERT_FILE", Path("a.pem")),
        ("REQUESTS_CA_BUNDLE", Path("b.pem")),
        ("SSL_CERT_DIR", tmp_path),
    )
    plain = replace(lab, base_url="http://127.0.0.1")
    assert access_of(plain, environment).ca_bundles == (own,)


def test_a_proxy_of_another_kind_is_refused_and_its_password_not_printed() -> None:
    with pytest.raises(UsageError, match="ALL_PROXY is not an http") as raised:
        access_of(PROVIDERS["simulator"], {"ALL_PROXY": "socks5://me:canary@p"})
    assert "canary" not in str(raised.value)
