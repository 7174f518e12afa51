"""Keys in the addresses of providers are refused."""

import pytest
from msgspec.structs import replace

from batchgen.errors import UsageError
from batchgen.job import PROVIDERS, access_of
from batchgen.job.key_in_url import key_in_query


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("api-version=2024-10-21&api-key=x", "api-key"),
        ("key=abc", "key"),
        ("code=abc", "code"),
        ("subscription-key=", "subscription-key"),
        ("access_token=x", "access_token"),
        ("sig=x", "sig"),
        ("x=0123456789abcdef0123456789abcdef", "x"),
        ("x=sk-proj-0123456789abcdef", "x"),
        ("x=Ab3dEf6hIj9lMnOpQrStUvWxYz", "x"),
    ],
)
def test_a_parameter_that_looks_like_a_key_is_found(query: str, name: str) -> None:
    assert key_in_query(f"https://a.example/x?{query}") == name


@pytest.mark.parametrize(
    "query",
    [
        "",
        "api-version=2025-04-01-preview",
        "region=eu-west-1&api-version=preview",
        "deployment=img-2",
    ],
)
def test_other_parameters_are_allowed(query: str) -> None:
    assert key_in_query(f"https://a.example/x?{query}") is None


@pytest.mark.parametrize("key", ["canary-key-1", "canary/key%2"])
def test_the_value_of_a_key_variable_in_a_url_is_refused_with_its_place(key: str) -> None:
    lab = replace(
        PROVIDERS["openai"],
        name="lab",
        base_url=f"https://a.example/{key}/v1",
        place="job.yaml:7",
    )
    with pytest.raises(UsageError, match=r"job\.yaml:7: .providers\.lab\.base_url") as raised:
        access_of(lab, {"OPENAI_API_KEY": key})
    assert key not in str(raised.value)
