"""Replies split into payloads and JSON, however they are written and cut into chunks."""

import base64
import gc
import hashlib
import json
import random
import re
import tracemalloc
import weakref
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from batchgen.http.payload_decoder import PAYLOAD_KEYS, PLACEHOLDER, PayloadDecoder, PayloadError
from batchgen.types import Spooled

IMAGE = bytes(range(256)) * 3
TEXT = base64.b64encode(IMAGE).decode()


@dataclass
class MemorySink:
    data: bytearray = field(default_factory=bytearray)
    is_closed: bool = False
    is_discarded: bool = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.data += data

    def close(self) -> Spooled:
        self.is_closed = True
        digest = hashlib.sha256(self.data).hexdigest()
        return Spooled("memory", len(self.data), digest, bytes(self.data[:4096]))

    def discard(self) -> None:
        self.is_discarded = True


class Decoding:
    """A decoder with access to its sinks."""

    def __init__(self, **limits: int) -> None:
        self.sinks: list[MemorySink] = []
        self.decoder = PayloadDecoder(self._open, **{"max_payload_bytes": 10**8} | limits)

    def _open(self) -> MemorySink:
        self.sinks.append(MemorySink())
        return self.sinks[-1]

    def run(self, body: bytes, size: int | None = None) -> tuple[bytes, list[bytes]]:
        size = size or max(len(body), 1)
        return self.run_chunks([body[at : at + size] for at in range(0, len(body), size)])

    def run_chunks(self, chunks: list[bytes]) -> tuple[bytes, list[bytes]]:
        for chunk in chunks:
            self.decoder.feed(chunk)
        rest, spooled = self.decoder.finish()
        payloads = [bytes(sink.data) for sink in self.sinks]
        assert [payload.sha256 for payload in spooled] == [
            hashlib.sha256(p).hexdigest() for p in payloads
        ]
        return rest, payloads


def reply(value: str, key: str = "b64_json") -> bytes:
    """A reply with one string, given as JSON source with its escapes."""
    return f'{{"created": 1, "data": [{{"{key}": "{value}", "url": null}}]}}'.encode()


LEFT = {"created": 1, "data": [{"b64_json": "batchgen-payload:0", "url": None}]}

WRITTEN: dict[str, str] = {
    "plain": TEXT,
    "escaped slashes": TEXT.replace("/", "\\/"),
    "every character escaped": "".join(f"\\u{ord(c):04x}" for c in TEXT),
    "escaped plus, slash and equals": re.sub(
        "[+/=]", lambda m: f"\\u{ord(m[0]):04X}", base64.b64encode(IMAGE[1:]).decode()
    ),
    "MIME line breaks": json.dumps(base64.encodebytes(IMAGE).decode())[1:-1],
    "blanks everywhere": " \\t".join(TEXT),
    "raw line breaks": base64.encodebytes(IMAGE).decode(),
    "url-safe": base64.urlsafe_b64encode(IMAGE).decode(),
    "no padding": base64.b64encode(IMAGE[2:]).decode().rstrip("="),
    "half the padding": base64.b64encode(IMAGE[2:]).decode().removesuffix("="),
    "url-safe without padding": base64.urlsafe_b64encode(IMAGE[1:]).decode().rstrip("="),
    "a data URL": f"data:image/png;base64,{TEXT}",
    "a data URL with escapes": f"dat\\u0061:image\\/png;base64\\u002C{TEXT}",
    "a data URL with parameters": f"DATA:image/png;name=a.png;Base64,{TEXT}",
}
CUT_FRONT = {"escaped plus, slash and equals": 1, "no padding": 2, "half the padding": 2}
CUT_FRONT["url-safe without padding"] = 1


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7, 64, 10_000])
@pytest.mark.parametrize("how", WRITTEN)
def test_a_payload_is_decoded_however_it_is_written_and_cut_into_chunks(
    how: str, size: int
) -> None:
    rest, payloads = Decoding().run(reply(WRITTEN[how]), size)
    assert payloads == [IMAGE[CUT_FRONT.get(how, 0) :]]
    assert json.loads(rest) == LEFT


@pytest.mark.parametrize("key", sorted(PAYLOAD_KEYS))
def test_every_payload_key_is_found_at_any_depth(key: str) -> None:
    body = json.dumps({"output": {"choices": [[{"x": {key: TEXT}}]]}}).encode()
    rest, payloads = Decoding().run(body)
    assert payloads == [IMAGE]
    assert json.loads(rest) == {"output": {"choices": [[{"x": {key: PLACEHOLDER + "0"}}]]}}


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_key_written_with_escapes_is_recognized(size: int) -> None:
    key = "".join(f"\\u{ord(c):04x}" for c in "image_base64")
    assert Decoding().run(reply(TEXT, key), size)[1] == [IMAGE]


def test_several_payloads_keep_their_order() -> None:
    items = [{"b64_json": base64.b64encode(bytes([n]) * n).decode()} for n in range(1, 9)]
    rest, payloads = Decoding().run(json.dumps({"data": items}).encode(), 11)
    assert payloads == [bytes([n]) * n for n in range(1, 9)]
    numbers = [item["b64_json"] for item in json.loads(rest)["data"]]
    assert numbers == [f"batchgen-payload:{n}" for n in range(8)]


def test_everything_else_is_left_byte_for_byte() -> None:
    before, after = (
        b' \r\n{ "k\\u00e9\\/" :\t[1.50e+3 , "\xc3\xa9\\"", {"b64_json"  :\n"',
        b'" }]\n}\n',
    )
    rest, payloads = Decoding().run(before + TEXT.encode() + after, 9)
    assert rest == before + b"batchgen-payload:0" + after
    assert payloads == [IMAGE]


@pytest.mark.parametrize(
    "body",
    [
        b'{"b64_json": null}',
        b'{"b64_json": ""}',
        b'{"b64_json": 12, "url": "https://example.test/a,b"}',
        b'{"b64_json": ["QUJD"], "b64": {"x": "QUJD"}}',
        b'["b64_json", "QUJD", {"b64_json_": "QUJD", "B64": "QUJD"}]',
        b'{"prompt": "write \\"b64_json\\":\\"QUJD\\" and \\\\", "b64_json": null}',
        b'{"prompt": "write data:image/png;base64,QUJD"}',
        b'{"data:image/png;base64,QUJD": 1, "x": "data:,a;base64,"}',
        b'{"url": "data:image/svg+xml,%3Csvg%3E"}',
        b'{"b64_json": "data:image/svg+xml,%3Csvg%3E"}',
        b'{"url": "data:image/png;base64"}',
        b'{"url": "data:%s;base64,QUJD"}' % (b"x" * 300),
        b'{"url": "d", "b": "\\u0064", "c": "data:' + b"\\u0061" * 400 + b'"}',
        b'{"cut": "off',
        b'{"cut": "dat',
        b'{"cut": "off\\',
        b'{"b64_jso',
        b"{",
        b"",
        b"\n\t ",
    ],
)
@pytest.mark.parametrize("size", [1, 3, 10_000])
def test_a_lookalike_of_a_payload_is_left_in_the_json(body: bytes, size: int) -> None:
    assert Decoding().run(body, size) == (body, [])


@pytest.mark.parametrize("size", [1, 5, 10_000])
def test_a_data_url_is_taken_out_wherever_it_is_a_value(size: int) -> None:
    url = f"data:image/png;base64,{TEXT}"
    body = json.dumps({"images": [{"url": url}, url], "url": url}).encode()
    rest, payloads = Decoding().run(body, size)
    assert payloads == [IMAGE] * 3
    assert json.loads(rest)["images"][1] == "batchgen-payload:1"
    assert Decoding().run(json.dumps(url).encode(), size) == (b'"batchgen-payload:0"', [IMAGE])


@pytest.mark.parametrize(
    "body",
    [
        b'<html><p>"b64_json":"QUJD" \'data:image/png;base64,QUJD\'</p>',
        b'data: {"b64_json": "QUJD"}\n\n',
        b"\x89PNG\r\n\x1a\n" + bytes(range(256)),
        b"\xef\xbb",
    ],
)
@pytest.mark.parametrize("size", [1, 10_000])
def test_a_reply_that_is_not_json_is_returned_unchanged(body: bytes, size: int) -> None:
    assert Decoding().run(body, size) == (body, [])


@pytest.mark.parametrize("size", [1, 2, 10_000])
def test_json_after_a_byte_order_mark_is_still_json(size: int) -> None:
    rest, payloads = Decoding().run(b"\xef\xbb\xbf" + reply(TEXT), size)
    assert rest.startswith(b"\xef\xbb\xbf{")
    assert payloads == [IMAGE]


@pytest.mark.parametrize("size", [1, 3, 10_000])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("QUJD*UJD", "invalid base64 at byte 4 of b64_json"),
        ("QUJDQUJD\\u00e9", "invalid base64 at byte 8 of b64_json"),
        ("QUJD\\u4e2d", "invalid base64 at byte 4 of b64_json"),
        ("QUJD\\n\\n%", "invalid base64 at byte 6 of b64_json"),
        ("QUJD\\x41", "invalid base64 at byte 4 of b64_json"),
        ('QUJD\\"QUJ', "invalid base64 at byte 4 of b64_json"),
        ("QUJD\\u00", "invalid base64 at byte 4 of b64_json"),
        ("QQ==QUJD", "invalid base64 at byte"),
        ("QQ==\\nQUJD", "invalid base64 at byte"),
        ("QUJDQ===", "invalid base64 at byte"),
        ("QUJD=", "invalid base64 at byte 4 of b64_json"),
        ("=", "invalid base64 at byte 0 of b64_json"),
        ("Q=", "invalid base64 at byte 1 of b64_json"),
        ("QUJDQ", "base64 ends in the middle of b64_json"),
        ("+-AA", "b64_json mixes both base64 alphabets"),
        ("////____", "b64_json mixes both base64 alphabets"),
        ("____++++", "b64_json mixes both base64 alphabets"),
        ("https://example.test/a.png", "invalid base64 at byte 5 of b64_json"),
    ],
)
def test_invalid_base64_is_an_error_with_its_position(value: str, message: str, size: int) -> None:
    decoding = Decoding()
    kind = message.partition(" at byte")[0]  # small chunks place misused padding elsewhere
    with pytest.raises(PayloadError, match=re.escape(message if size > 3 else kind)):
        decoding.run(reply(value), size)


@pytest.mark.parametrize("size", [1, 10_000])
def test_a_payload_that_is_cut_off_is_an_error_at_every_byte(size: int) -> None:
    body = reply("QUJDREVGR0g=")
    start = body.index(b"QUJD")
    for cut in range(start + 1, start + 13):
        with pytest.raises(PayloadError, match="the middle"):
            Decoding().run(body[:cut], size)


def test_a_payload_over_its_limit_is_an_error_and_one_at_its_limit_is_not() -> None:
    assert Decoding(max_payload_bytes=len(IMAGE)).run(reply(TEXT), 50)[1] == [IMAGE]
    decoding = Decoding(max_payload_bytes=len(IMAGE) - 1)
    with pytest.raises(PayloadError, match=r"in b64_json is over 0.000767 MB"):
        decoding.run(reply(TEXT), 50)
    assert len(decoding.sinks[0].data) < len(IMAGE)


@pytest.mark.parametrize("body", [b"<html>" + b"x" * 95, b'{"text": "%s"}' % (b"x" * 90)])
def test_a_rest_over_its_limit_is_an_error(body: bytes) -> None:
    assert Decoding(max_rest_bytes=len(body)).run(body, 10) == (body, [])
    with pytest.raises(PayloadError, match=r"without its payloads is over 0\.0001 MB"):
        Decoding(max_rest_bytes=100).run(body, 10)


def test_blanks_count_as_rest() -> None:
    with pytest.raises(PayloadError, match="without its payloads"):
        Decoding(max_rest_bytes=100).run(b" " * 101, 10)


def test_more_payloads_than_allowed_are_dropped() -> None:
    body = json.dumps([{"b64": "QUJD"}] * 3).encode()
    assert len(Decoding(max_payloads=3).run(body)[1]) == 3
    rest, payloads = Decoding(max_payloads=2).run(body)
    assert len(payloads) == 2
    assert [item["b64"] for item in json.loads(rest)][1:] == [f"{PLACEHOLDER}1", f"{PLACEHOLDER}2"]


def test_abort_discards_open_and_closed_payloads_and_may_be_repeated() -> None:
    decoding = Decoding()
    decoding.decoder.feed(b'[{"b64": "QUJD"}, {"b64": "QUJDRE')
    decoding.decoder.abort()
    decoding.decoder.abort()
    assert [(sink.is_closed, sink.is_discarded) for sink in decoding.sinks] == [
        (True, True),
        (False, True),
    ]


def test_an_error_of_the_sink_reaches_the_caller() -> None:
    class FullDisk(MemorySink):
        def write(self, data: bytes) -> None:
            raise OSError(28, f"no space for {len(data)} bytes")

    decoder = PayloadDecoder(FullDisk, max_payload_bytes=100)
    with pytest.raises(OSError, match="no space"):
        decoder.feed(reply("QUJD"))


def test_memory_does_not_grow_with_the_payload() -> None:
    class Nowhere(MemorySink):
        def write(self, data: bytes) -> None:
            assert data

    block = base64.b64encode(bytes(48 * 1024))
    decoder = PayloadDecoder(Nowhere, max_payload_bytes=10**9)
    decoder.feed(b'{"b64_json": "')
    tracemalloc.start()
    for _ in range(200):
        decoder.feed(block)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    decoder.feed(b'"}')
    assert decoder.finish()[0] == b'{"b64_json": "batchgen-payload:0"}'
    assert peak_bytes < 500_000


@dataclass(frozen=True)
class Base64Image:
    """A value to be written as base64, as a `data:` URL or bare."""

    data: bytes
    prefix: str = ""

    @property
    def text(self) -> str:
        return self.prefix + base64.b64encode(self.data).decode()


LOOKALIKES = st.sampled_from(
    [
        *('"b64_json":"QUJD"', "b64_json", "d", "data:", "data:image/png,"),
        *("data:image/svg+xml,a;base64,QUJD", "\\", '\\"', "}{][,:", "\N{GRINNING FACE}"),
    ]
)
WORDS = st.text(max_size=12) | LOOKALIKES
BYTES = st.binary(min_size=1, max_size=400)
BARE = st.builds(Base64Image, BYTES)
URLS = st.builds(Base64Image, BYTES, st.sampled_from(["data:image/png;base64,", "DATA:;base64,"]))
UNDER_KEY = st.dictionaries(st.sampled_from(sorted(PAYLOAD_KEYS)), BARE | URLS, min_size=1)
ORDINARY_KEYS = WORDS.filter(lambda key: key not in PAYLOAD_KEYS)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | UNDER_KEY | URLS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(ORDINARY_KEYS, inner, max_size=4),
    max_leaves=12,
)
WRITERS = st.fixed_dictionaries(
    {
        "ensure_ascii": st.booleans(),
        "indent": st.sampled_from([None, 1, "\t"]),
        "separators": st.sampled_from([(",", ":"), (" ,\r\n", " :\t"), (", ", ": ")]),
    }
)


def left_of(document: Any, images: list[bytes]) -> Any:
    """Return what must be left of the document; append its images to the list, in order."""
    match document:
        case Base64Image():
            images.append(document.data)
            return f"{PLACEHOLDER}{len(images) - 1}"
        case list():
            return [left_of(item, images) for item in document]
        case dict():
            return {key: left_of(item, images) for key, item in document.items()}
    return document


@st.composite
def cuts(draw: st.DrawFn, body: bytes) -> list[bytes]:
    size = draw(st.sampled_from([1, 2, 3, 4, 7, 33, 200, 5000]))
    seed = draw(st.integers(0, 2**32))
    sizes = random.Random(seed)  # noqa: S311  # chunk borders are no secret
    chunks, at = [], 0
    while at < len(body):
        length = sizes.randint(1, size)
        chunks.append(body[at : at + length])
        at += length
    return chunks


@settings(deadline=None)
@given(st.data(), DOCUMENTS, WRITERS, st.sampled_from(["/", "\\/"]))
def test_rest_and_payloads_equal_those_of_parsing_the_whole_reply(
    data: st.DataObject, document: Any, writer: dict[str, Any], slash: str
) -> None:
    text = json.dumps(document, default=lambda image: image.text, **writer)
    body = text.replace("/", slash).encode()
    images: list[bytes] = []
    left = left_of(document, images)
    rest, payloads = Decoding(max_payloads=1000).run_chunks(data.draw(cuts(body)))
    assert payloads == images
    assert json.loads(rest) == left


@settings(deadline=None)
@given(
    st.lists(
        st.binary(max_size=20)
        | st.sampled_from(
            [
                b'{"b64_json":"',
                b'"',
                b"\\",
                b"\\u00",
                b"QUJD",
                b"=",
                b"data:",
                b";base64,",
                b"[",
                b"}",
            ]
        ),
        max_size=20,
    )
)
@example([b'{"b64":"', b"\\u", b'"'])
def test_arbitrary_bytes_raise_only_payload_errors(chunks: list[bytes]) -> None:
    """The outcome does not depend on how the bytes are cut into chunks."""

    def outcome(chunks: list[bytes]) -> tuple[bytes, list[bytes]] | None:
        try:
            return Decoding().run_chunks(chunks)
        except PayloadError:
            return None

    whole = b"".join(chunks)
    assert outcome(chunks) == outcome([whole]) == outcome([bytes([byte]) for byte in whole])


def test_a_decoder_and_its_payloads_are_freed_without_the_garbage_collector() -> None:
    reply = json.dumps({"data": [{"b64_json": TEXT}, {"b64_json": TEXT}]}).encode()
    gc.disable()  # waiting for it would keep the payloads of thousands of requests
    try:
        for end in (len(reply), len(reply) - 5, 40):
            decoder = PayloadDecoder(MemorySink, max_payload_bytes=10**6)
            decoder.feed(reply[:end])
            gone = weakref.ref(decoder)
            del decoder
            assert gone() is None
    finally:
        gc.enable()
