"""The address of a request, from the base URL and the path of its family."""

import pytest

from batchgen.http.service import address

IMAGES = "/v1/images/generations"


@pytest.mark.parametrize(
    ("base_url", "path", "url"),
    [
        ("https://a.example", IMAGES, "https://a.example/v1/images/generations"),
        ("https://a.example/v1/", IMAGES, "https://a.example/v1/images/generations"),
        ("https://a.example/v2", IMAGES, "https://a.example/v1/images/generations"),
        ("https://a.example/api/v1", IMAGES, "https://a.example/api/v1/images/generations"),
        ("https://a.example/api", IMAGES, "https://a.example/api/v1/images/generations"),
        ("https://a.example/api/v3", IMAGES, "https://a.example/api/v3/images/generations"),
        (
            "https://a.example/v1beta/openai/",
            IMAGES,
            "https://a.example/v1beta/openai/images/generations",
        ),
        (
            "https://a.example/openai/deployments/img?api-version=1",
            IMAGES,
            "https://a.example/openai/deployments/img/images/generations?api-version=1",
        ),
        (
            "https://a.example/openai/v1?api-version=preview",
            IMAGES,
            "https://a.example/openai/v1/images/generations?api-version=preview",
        ),
        ("https://a.example", "/x/y?api-version=1", "https://a.example/x/y?api-version=1"),
        ("https://a.example/v1?a=1&b=2", "/x?a=3", "https://a.example/x?a=3&b=2"),
        (
            "https://a.example",
            "/v/gen?api-version=1?generation_id=7",
            "https://a.example/v/gen?api-version=1&generation_id=7",
        ),
    ],
)
def test_a_path_is_added_to_the_base_url_with_the_parameters_of_both(
    base_url: str, path: str, url: str
) -> None:
    assert address(base_url, path) == url
