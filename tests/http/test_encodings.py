"""A body is decoded by its bytes and by its Content-Encoding, in this order."""

import gzip
import zlib
from collections.abc import Callable
from hashlib import shake_256

import pytest

from batchgen.http.encodings import BodyDecoder, DamagedBodyError, UndecodableError, encodings_of


def noise(size: int) -> bytes:
    """Return bytes that cannot be compressed, always the same."""
    return shake_256(b"noise").digest(size)


TEXTS = {
    "empty": b"",
    "short": b"{}",
    "list": b"[1]",
    "text": '{"prompt": "ünï"}'.encode() * 20,
    "png": b"\x89PNG\r\n\x1a\n" + noise(500),
    "large": b'{"data": "' + noise(100_000).hex().encode() + b'"}',
}
ZSTD_FRAME = b"\x28\xb5\x2f\xfd" + b"\x04\x00" + bytes(80)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(data) + compressor.flush()


def twice(data: bytes) -> bytes:
    return gzip.compress(gzip.compress(data))


def unchanged(data: bytes) -> bytes:
    return data


def decoded(label: str, data: bytes, chunk_bytes: int = 1000) -> bytes:
    decoder = BodyDecoder(label)
    chunks = [data[at : at + chunk_bytes] for at in range(0, len(data), chunk_bytes)]
    pieces = [piece for chunk in chunks for piece in decoder.feed(chunk)]
    return b"".join([*pieces, *decoder.finish()])


@pytest.mark.parametrize(
    ("label", "names"),
    [
        ("", ()),
        ("identity", ()),
        ("GZIP", ("gzip",)),
        ("x-gzip", ("gzip",)),
        ("gzip, identity , BR", ("gzip", "br")),
        (",deflate,", ("deflate",)),
    ],
)
def test_a_label_lists_encodings(label: str, names: tuple[str, ...]) -> None:
    assert encodings_of(label) == names


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS)
@pytest.mark.parametrize(
    ("label", "encode"),
    [
        ("gzip", gzip.compress),
        ("X-Gzip", gzip.compress),
        ("identity, gzip", gzip.compress),
        ("gzip, gzip", twice),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        # The label is wrong or missing.
        ("", gzip.compress),
        ("identity", gzip.compress),
        ("zstd", gzip.compress),
        ("deflate", gzip.compress),
        ("gzip", zlib.compress),
        ("gzip, gzip", gzip.compress),
        ("gzip", unchanged),
        ("deflate", unchanged),
        ("br", unchanged),
        ("zstd", unchanged),
        ("gzip, br", unchanged),
        ("aws-chunked", unchanged),
        ("utf-8", unchanged),
        ("", unchanged),
        (",".join(["gzip"] * 20), unchanged),
    ],
)
@pytest.mark.parametrize("chunk_bytes", [7, 1_000_000])
def test_a_body_is_decoded(
    text: bytes, label: str, encode: Callable[[bytes], bytes], chunk_bytes: int
) -> None:
    assert decoded(label, encode(text), chunk_bytes) == text


def test_several_members_are_one_body_and_padding_is_ignored() -> None:
    data = gzip.compress(b"one ") + gzip.compress(b"two") + bytes(10)
    assert decoded("gzip", data) == b"one two"


@pytest.mark.parametrize(
    ("label", "data"),
    [
        ("br", b"\x0b\x28\x80" + noise(100)),
        ("zstd", ZSTD_FRAME),
        ("compress", b"\x1f\x9d\x90" + noise(100)),
        ("aes128gcm", b"\0" + noise(100)),
        ("gzip", b"\x1f\x8b\x08" + b"\xff" * 100),
        ("gzip", b"\0" + noise(100)),
    ],
)
def test_what_cannot_be_decoded_is_named_and_its_bytes_are_kept(label: str, data: bytes) -> None:
    with pytest.raises(
        UndecodableError, match=f"Content-Encoding {label}.*not asked for"
    ) as raised:
        decoded(label, data, 10)
    assert raised.value.seen
    assert data.startswith(raised.value.seen)


def test_a_package_is_named_if_one_would_help(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("batchgen.http.encodings.import_module", missing)
    with pytest.raises(UndecodableError, match=r"install the package backports\.zstd"):
        decoded("zstd", ZSTD_FRAME)
    with pytest.raises(UndecodableError, match="install the package brotli"):
        decoded("br", b"\x0b\x28\x80" + noise(100))


@pytest.mark.parametrize("kept_bytes", [-1, -8, 60_000])
def test_a_compressed_body_that_ends_early_is_damaged(kept_bytes: int) -> None:
    data = gzip.compress(TEXTS["large"])[:kept_bytes]
    with pytest.raises(DamagedBodyError, match="gzip body of the reply ends too early"):
        decoded("gzip", data)


def test_a_compressed_body_is_decoded_in_pieces_of_limited_size() -> None:
    bomb = gzip.compress(bytes(20_000_000))
    decoder = BodyDecoder("gzip")
    sizes = [len(piece) for piece in decoder.feed(bomb)]
    assert sum(sizes) == 20_000_000
    assert max(sizes) <= 256 * 1024


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 3_000_000, UndecodableError),  # an endless name
        (gzip.compress(b"a") * 2000, DamagedBodyError),
        (gzip.compress(b"") * 2000, UndecodableError),
    ],
    ids=["a name", "parts", "empty parts"],
)
def test_a_body_that_only_costs_time_is_given_up(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        decoded("gzip", data, 100_000)
