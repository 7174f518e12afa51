"""Request bodies as a server parses them, and as previews show them."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import HTTP
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.http.request_body import BodyStream, ChangedFileError, encode_body
from batchgen.manifest.preview import preview_body
from batchgen.types import FaultKind, HttpRequest, Input, LocalFile
from tests.given import a_png

SIZES = [1, 2, 3, 4095, 3 * 128 * 1024 - 1, 3 * 128 * 1024, 3 * 128 * 1024 + 1, 1_000_003]


def a_file(path: Path, data: bytes) -> LocalFile:
    path.write_bytes(data)
    return LocalFile(path, path.name, len(data), sha256(data).hexdigest(), "image/png")


async def collected(data: bytes | AsyncIterator[bytes]) -> bytes:
    if isinstance(data, bytes):
        return data
    return b"".join([chunk async for chunk in data])


async def keep(data: bytes | AsyncIterator[bytes], arrived: list[bytes]) -> None:
    assert not isinstance(data, bytes)
    async for chunk in data:
        arrived.append(chunk)  # noqa: PERF401  # data before an error counts too


def sent(fields: dict[str, Input], *, multipart: bool = False) -> tuple[str, bytes]:
    body = encode_body(HttpRequest("POST", "/", fields, multipart))
    data = asyncio.run(collected(BodyStream(body).data()))
    assert len(data) == body.size_bytes
    return body.content_type, data


def form(content_type: str, data: bytes) -> list[EmailMessage]:
    whole = message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + data, policy=HTTP)
    return [
        part for part in whole.walk() if isinstance(part, EmailMessage) and not part.is_multipart()
    ]


@given(
    st.dictionaries(
        st.text(max_size=9),
        st.none() | st.booleans() | st.text() | st.lists(st.integers(-(2**53), 2**53)),
        max_size=5,
    )
)
def test_a_body_without_files_is_its_json(fields: dict[str, Any]) -> None:
    content_type, data = sent(fields)
    assert content_type == "application/json"
    assert json.loads(data) == fields


@pytest.mark.parametrize("size", SIZES)
def test_a_file_in_json_is_a_data_url(tmp_path: Path, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    file = a_file(tmp_path / "cat.png", content)
    _, data = sent({"prompt": "A cat", "image": file, "all": ("https://a.test/b", file), "n": 1})

    url = "data:image/png;base64," + base64.b64encode(content).decode()
    assert json.loads(data) == {
        "prompt": "A cat",
        "image": url,
        "all": ["https://a.test/b", url],
        "n": 1,
    }


@pytest.mark.parametrize("size", SIZES)
def test_a_form_carries_files_unencoded(tmp_path: Path, size: int) -> None:
    content = bytes(index % 251 for index in range(size))
    file = a_file(tmp_path / 'a "cat".png', content)
    content_type, data = sent(
        {"prompt": "Ein Käfer", "n": 2, "mask": file, "image": (file, file)}, multipart=True
    )

    parts = form(content_type, data)
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert names == ["prompt", "n", "mask", "image[]", "image[]"]
    payloads = [part.get_payload(decode=True) for part in parts]
    assert payloads == ["Ein Käfer".encode(), b"2", content, content, content]
    assert parts[2].get_filename() == "a %22cat%22.png"
    assert parts[2].get_content_type() == "image/png"


def test_a_preview_describes_a_file_instead_of_its_bytes(tmp_path: Path) -> None:
    file = LocalFile(tmp_path / "cat.png", "pics/cat.png", 1_234_567, "0" * 64, "image/png")
    assert preview_body({"prompt": "A cat", "image": file, "all": (file, "https://a.test/b")}) == {
        "prompt": "A cat",
        "image": "<data:image/png;base64 … 1.2 MB of pics/cat.png>",
        "all": ["<data:image/png;base64 … 1.2 MB of pics/cat.png>", "https://a.test/b"],
    }
    assert preview_body({"image": file}, multipart=True) == {
        "image": "<image/png … 1.2 MB of pics/cat.png>"
    }


@pytest.mark.parametrize("change", ["gone", "longer", "other"])
async def test_a_file_that_changed_since_the_check_never_arrives_whole(
    tmp_path: Path, change: str
) -> None:
    content = a_png(pixel=b"\1") * 9000
    file = a_file(tmp_path / "cat.png", content)
    match change:
        case "gone":
            file.path.unlink()
        case "longer":
            file.path.write_bytes(content + b"\0")
        case _:
            file.path.write_bytes(a_png(pixel=b"\2") * 9000)
    body = encode_body(HttpRequest("POST", "/", {"image": file}))
    upload = BodyStream(body)
    arrived: list[bytes] = []

    with pytest.raises(ChangedFileError, match=r"cat\.png"):
        await keep(upload.data(), arrived)

    assert len(b"".join(arrived)) < body.size_bytes
    assert upload.fault is not None
    assert (upload.fault.kind, upload.fault.sent) == (FaultKind.INPUT_FILE, False)
