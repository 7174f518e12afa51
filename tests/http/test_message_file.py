"""A kept reply as a file: readable by people, and read again as it was."""

import base64
import io
from typing import BinaryIO

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from batchgen.http.message_file import MAX_BODY_BYTES, read_message, write_message
from batchgen.types import HttpResponse, Spooled
from tests.given import a_png


class Sink:
    """Keeps the bytes of one payload in memory."""

    def __init__(self) -> None:
        self.data = b""

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> Spooled:
        return Spooled("", len(self.data), "", self.data[:4096], self.data)

    def discard(self) -> None:
        self.data = b""


def open_payload(payload: Spooled) -> BinaryIO:
    assert payload.data is not None
    return io.BytesIO(payload.data)


def payload(data: bytes) -> Spooled:
    return Spooled("", len(data), "", data[:4096], data)


def written(response: HttpResponse) -> bytes:
    return b"".join(write_message(response, open_payload))


def read_again(response: HttpResponse) -> HttpResponse | None:
    return read_message(io.BytesIO(written(response)), Sink)


def test_the_file_shows_status_headers_and_body_as_text() -> None:
    headers = {"content-type": "application/json", "x-request-id": "req-7"}
    response = HttpResponse(202, headers, b'{"task_id": "t-1"}')

    assert written(response) == (
        b"HTTP/1.1 202\r\ncontent-type: application/json\r\nx-request-id: req-7\r\n\r\n"
        b'{"task_id": "t-1"}'
    )


def test_cookies_and_headers_of_the_connection_are_left_out() -> None:
    headers = {
        "set-cookie": "session=secret", "content-length": "2", "transfer-encoding": "chunked",
        "content-encoding": "gzip",
    }  # fmt: skip

    assert written(HttpResponse(200, headers, b"{}")) == b"HTTP/1.1 200\r\n\r\n{}"


def test_a_payload_stands_in_the_body_as_a_data_url_and_comes_back() -> None:
    image = a_png()
    body = b'{"result": {"picture": "batchgen-payload:0", "id": "t-1"}}'

    text = written(HttpResponse(200, {}, body, (payload(image),)))
    again = read_message(io.BytesIO(text), Sink)

    assert b'"data:;base64,' + base64.b64encode(image) + b'"' in text
    assert again is not None
    assert again.body == body
    assert [found.data for found in again.payloads] == [image]


def test_a_long_body_is_cut_and_not_read_again() -> None:
    response = HttpResponse(200, {}, b'{"a": "' + b"x" * MAX_BODY_BYTES + b'"}')

    text = written(response)

    assert len(text) < MAX_BODY_BYTES + 200
    assert f"x-batchgen-cut: {MAX_BODY_BYTES} of {len(response.body)} bytes".encode() in text
    assert read_message(io.BytesIO(text), Sink) is None


@given(
    status=st.sampled_from([200, 201, 202]),
    values=st.lists(st.binary(max_size=300).map(payload), max_size=3),
    text=st.text(st.characters(exclude_categories=["Cs"]), max_size=50),
)
def test_every_reply_comes_back_as_it_was(status: int, values: list[Spooled], text: str) -> None:
    items = [f"batchgen-payload:{number}" for number in range(len(values))]
    body = msgspec.json.encode({"data": items, "note": text})

    again = read_again(HttpResponse(status, {"x-note": "7"}, body, tuple(values)))

    assert again is not None
    assert (again.status, again.headers) == (status, {"x-note": "7"})
    assert msgspec.json.decode(again.body) == msgspec.json.decode(body)
    assert [found.data for found in again.payloads] == [value.data for value in values]


@given(st.binary(max_size=400))
def test_no_file_makes_it_fail(data: bytes) -> None:
    read_message(io.BytesIO(data), Sink)
    read_message(io.BytesIO(b"HTTP/1.1 200\r\n" + data), Sink)


def test_a_body_that_still_cannot_be_decoded_stays_unread() -> None:
    label = {"content-encoding": "unheard-of"}
    raw = HttpResponse(200, label, b"", (payload(b"\x00\x01\x02junk"),), undecodable="unheard-of")
    assert read_again(raw) is None


def test_a_body_that_is_a_picture_comes_back_as_a_file() -> None:
    raw = HttpResponse(200, {"content-type": "image/png"}, b"", (payload(a_png()),))
    again = read_again(raw)
    assert again is not None
    assert [found.data for found in again.payloads] == [a_png()]


def test_the_beginning_of_a_long_reply_is_not_read_again() -> None:
    long = HttpResponse(200, {}, b'{"a": "', undecodable="the reply is over 4 MB")
    assert b"x-batchgen-cut: the reply is over 4 MB" in written(long)
    assert read_again(long) is None
