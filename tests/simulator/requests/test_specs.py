"""The simulator's schemas, compared with the vendor's own files."""

import json
import re
from importlib import resources
from typing import Any

import pytest

from batchgen.simulator.requests.compile_specs import image_specs_json
from batchgen.simulator.requests.image_request import read_image_request
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.requests.specs import image_specs
from tests.shared import shared_path


def _rejected(**body: Any) -> str:
    with pytest.raises(Rejection) as caught:
        read_image_request(json.dumps(body).encode())
    assert caught.value.status == 400
    return caught.value.message


def test_the_data_file_is_what_the_script_writes() -> None:
    data = resources.files("batchgen.simulator.requests").joinpath("image_specs.json").read_text()
    assert data == image_specs_json(shared_path("api", "openapi"))


def test_every_model_of_the_vendors_index_is_known() -> None:
    rows = shared_path("api", "openapi", "INDEX.csv").read_text().splitlines()[1:]
    listed = {row.split(",")[2] for row in rows if row.startswith("image,")}
    assert listed <= set(image_specs())


def test_a_request_may_mix_what_only_one_of_two_dates_allows() -> None:
    old_size_and_quality = {"size": "1024x1792", "quality": "hd", "prompt": "x" * 4000}
    request = read_image_request(json.dumps({**old_size_and_quality, "n": 10}).encode())
    assert (request.model, request.width, request.height, request.count) == (
        "dall-e-2",
        1024,
        1792,
        10,
    )


@pytest.mark.parametrize(
    ("body", "pattern"),
    [
        ({}, "prompt: Required"),
        ({"prompt": 5}, "prompt: Expected string, received integer"),
        ({"prompt": None}, "prompt: Expected string, received null"),
        ({"prompt": "x" * 4001}, "prompt: String must contain at most 4000"),
        ({"prompt": "x", "colour": "red"}, "Unrecognized key.*'colour'"),
        ({"prompt": "x", "size": "10x10"}, "size: Invalid enum value.*'256x256'.*'10x10'"),
        ({"prompt": "x", "n": 11}, "n: Number must be less than or equal to 10"),
        ({"prompt": "x", "n": 1.5}, "n: Expected a whole number"),
        ({"prompt": "x", "n": True}, "n: Expected number, received boolean"),
        ({"prompt": "x", "model": "dall-e-9"}, "Unknown model 'dall-e-9'"),
        ({"prompt": "x", "model": 3}, "model: Expected string"),
        ({"prompt": "x", "model": "dall-e-3", "n": 2}, "n: Invalid enum value"),
        (
            {"prompt": "x", "model": "flux/dev", "image_size": {"width": 1000, "height": 512}},
            "image_size.width: Number must be a multiple of 32$",
        ),
        (
            {"prompt": "x", "model": "flux/dev", "image_size": {"width": 32, "depth": 1}},
            "image_size.width: .* 512; image_size: Unrecognized key.*'depth'",
        ),
        ({"prompt": "x", "model": "flux/dev", "image_size": "huge"}, "image_size: Invalid enum"),
        ({"prompt": "x", "model": "flux/dev", "seed": 0}, "seed: .* equal to 1"),
        (
            {"prompt": "x", "model": "bytedance/seedream-3.0", "size": "256x512"},
            r"between \[512x512, 2048x2048\]",
        ),
        (
            {"prompt": "x", "model": "reve/edit-image", "image_url": "no url"},
            "image_url: Invalid url",
        ),
        (
            {"prompt": "x", "model": "recraft-v3", "colors": [{"r": 1, "g": 300}]},
            "colors.0.b: Required; colors.0.g: .* 255",
        ),
        ({"prompt": "x", "model": "any/thing", "n": 17}, "n: at most 16"),
    ],
)
def test_what_the_spec_does_not_allow_is_reported(body: dict[str, Any], pattern: str) -> None:
    message = _rejected(**body)
    assert message.startswith("Body validation error: ")
    assert re.search(pattern, message), message


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b"[" * 100_000])
def test_a_body_that_is_not_an_object_is_rejected(raw: bytes) -> None:
    with pytest.raises(Rejection):
        read_image_request(raw)


def test_a_model_under_any_takes_every_parameter() -> None:
    request = read_image_request(b'{"model":"any/thing","prompt":"x","size":"96x64","strange":[1]}')
    assert (request.width, request.height) == (96, 64)


@pytest.mark.parametrize(
    ("body", "size"),
    [
        ({"model": "flux/schnell"}, (1024, 768)),
        ({"model": "flux/schnell", "image_size": {"height": 64}}, (1024, 64)),
        ({"model": "flux/schnell", "image_size": "square"}, (512, 512)),
        ({"model": "flux/schnell", "image_size": "portrait_16_9"}, (576, 1024)),
        ({"model": "bytedance/seedream-4-5", "image_size": "2K"}, (2048, 2048)),
        ({"model": "bytedance/seedream-5-0-pro"}, (1536, 1536)),
        ({"model": "imagen-3.0-generate-002", "aspect_ratio": "16:9"}, (1360, 768)),
        ({"model": "google/nano-banana-pro", "resolution": "4K"}, (4096, 4096)),
        ({"model": "flux-pro/v1.1-ultra", "aspect_ratio": "9:21"}, (672, 1568)),
        ({"model": "x-ai/grok-imagine-image", "aspect_ratio": "auto"}, (2048, 2048)),
    ],
)
def test_sizes_are_read_in_all_the_vendors_notations(
    body: dict[str, Any], size: tuple[int, int]
) -> None:
    request = read_image_request(json.dumps({"prompt": "x", **body}).encode())
    assert (request.width, request.height) == size
