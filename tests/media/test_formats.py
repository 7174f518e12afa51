"""File types by their bytes, and image dimensions by their headers."""

import io
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from batchgen.media.formats import (
    AAC,
    AVIF,
    BMP,
    FLAC,
    GIF,
    GLB,
    HEIC,
    JPEG,
    M4A,
    MATROSKA,
    MP3,
    MP4,
    OBJ,
    OGG,
    PCM,
    PNG,
    QUICKTIME,
    SVG,
    TIFF,
    WAV,
    WEBM,
    WEBP,
    MediaType,
    dimensions,
    received_type,
    sniff,
)

HEAD_BYTES = 4096
MIN_HEAD_BYTES = 12  # enough to detect every type
SIZES = [(1, 1), (3, 2), (17, 300), (640, 256)]
ENCODINGS: list[tuple[str, str, MediaType, dict[str, Any]]] = [
    ("png", "RGBA", PNG, {}),
    ("jpeg", "RGB", JPEG, {}),
    ("jpeg", "L", JPEG, {"progressive": True}),
    ("jpeg", "CMYK", JPEG, {"icc_profile": bytes(300_000), "exif": bytes(5000), "comment": "x"}),
    ("webp", "RGB", WEBP, {}),
    ("webp", "RGBA", WEBP, {"lossless": True}),
    ("webp", "RGBA", WEBP, {"icc_profile": bytes(3000)}),
    ("gif", "P", GIF, {}),
    ("avif", "RGB", AVIF, {}),
    ("avif", "RGBA", AVIF, {"icc_profile": bytes(5000), "exif": Image.Exif()}),
    ("tiff", "RGB", TIFF, {}),
    ("tiff", "RGB", TIFF, {"compression": "tiff_lzw"}),
    ("tiff", "L", TIFF, {"big_tiff": True}),
    ("bmp", "RGB", BMP, {}),
]


def image_bytes(kind: str, mode: str, size: tuple[int, int], **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, kind, **options)
    return file.getvalue()


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kind", "mode", "media", "options"), ENCODINGS)
def test_type_and_dimensions_of_an_image_agree_with_pillow(
    kind: str, mode: str, media: MediaType, options: dict[str, Any], size: tuple[int, int]
) -> None:
    data = image_bytes(kind, mode, size, **options)
    assert sniff(data[:HEAD_BYTES]) == media
    with Image.open(io.BytesIO(data)) as opened:
        assert dimensions(io.BytesIO(data), media) == opened.size == size
        assert opened.get_format_mimetype() in {media.mime, None}


def test_an_animated_image_has_the_dimensions_of_its_canvas() -> None:
    frames = [Image.new("RGB", (40, 30), color) for color in ("red", "green", "blue")]
    for kind, media in [("webp", WEBP), ("gif", GIF), ("png", PNG), ("avif", AVIF)]:
        file = io.BytesIO()
        frames[0].save(file, kind, save_all=True, append_images=frames[1:])
        assert sniff(file.getvalue()[:HEAD_BYTES]) == media
        assert dimensions(file, media) == (40, 30)


def test_a_bmp_whose_rows_go_down_has_a_positive_height() -> None:
    data = bytearray(image_bytes("bmp", "RGB", (8, 5)))
    data[22:26] = struct.pack("<i", -5)
    assert dimensions(io.BytesIO(data), BMP) == (8, 5)


def test_an_old_bmp_header_is_read() -> None:
    data = b"BM" + bytes(8) + struct.pack("<II", 26, 12) + struct.pack("<HHHH", 7, 9, 1, 24)
    assert sniff(data + b"BM") == BMP
    assert dimensions(io.BytesIO(data + bytes(300)), BMP) == (7, 9)


def test_a_big_endian_tiff_is_read() -> None:
    entries = struct.pack(">HHIHH", 256, 3, 1, 12, 0) + struct.pack(">HHII", 257, 4, 1, 34)
    data = b"MM\0*" + struct.pack(">IH", 8, 2) + entries + bytes(4)
    assert sniff(data) == TIFF
    assert dimensions(io.BytesIO(data), TIFF) == (12, 34)


SVG_ROOT = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>'


@pytest.mark.parametrize(
    "before",
    [
        "",
        "\n  ",
        '<?xml version="1.0" encoding="UTF-8"?>\n',
        "<!-- made by <svg> > tools -->\n<!-- twice -->",
        '<!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/svg11.dtd">\n',
        '<?xml version="1.0"?><!--a--><!DOCTYPE svg [ <!ENTITY a "b>"> ]><?css x?> <!--b-->',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_an_svg_is_detected_whatever_comes_before_its_root(before: str, encoding: str) -> None:
    data = (before + SVG_ROOT).encode(encoding)
    assert sniff(data) == SVG
    assert dimensions(io.BytesIO(data), SVG) == (20, 10)


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ("width='20px' height=\" 10.4 \"", (20, 10)),
        ('width="1in" height="2.54cm"', (96, 96)),
        ('width="3pt" height="1pc"', (4, 16)),
        ('width="25.4mm" height="1e2"', (96, 100)),
        ('viewBox="0 0 300 150"', (300, 150)),
        ('viewBox = "0,0,300.4,150"', (300, 150)),
        ('width="100%" height="100%" viewBox="0 0 300 150"', (300, 150)),
        ('width="20" viewBox="0 0 300 150"', (300, 150)),
        ('title=\'a width="5" >\' width="20" height="10"', (20, 10)),
        ('data-width="5" stroke-width="5"', None),
        ("", None),
        ('width="0" height="10"', None),
        ('width="1e60" height="10"', None),
        ('width="20" height="10em"', None),
        ('viewBox="0 0 x y"', None),
        ('viewBox="0 0 nan inf"', None),
        ('viewBox="0 0"', None),
    ],
)
def test_an_svg_has_the_dimensions_of_its_root_element(
    attributes: str, size: tuple[int, int] | None
) -> None:
    data = f"<svg {attributes}><rect width='1' height='1'/></svg>".encode()
    assert sniff(data) == SVG
    assert dimensions(io.BytesIO(data), SVG) == size


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"<!DOCTYPE html><html><svg width='1' height='1'></svg></html>",
        b"<html><body>Bad gateway</body></html>",
        b"<svgx>",
        b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        b'{"message": "no such file"}',
        b"BMW makes cars, and this text is longer than thirty characters",
        b"plain text",
        b"RIFF1234AVI ",
        b"\x00\x00\x00\x00",
        b"PK\x03\x04",
    ],
)
def test_bytes_of_no_media_file_have_no_type(head: bytes) -> None:
    assert sniff(head) is None


@pytest.mark.parametrize(
    ("head", "media"),
    [
        (b"\0\0\0\x18ftypisom\0\0\0\0isommp42", MP4),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", QUICKTIME),
        (b"\0\0\0\x1cftypM4A \0\0\0\0M4A mp42isom", M4A),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", HEIC),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf", AVIF),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x84webm", WEBM),
        (b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\x82\x88matroska", MATROSKA),
        (b"ID3\x04\0\0\0\0\0\0", MP3),
        (b"\xff\xfb\x90\x64", MP3),
        (b"\xff\xf1\x50\x80", AAC),
        (b"RIFF\x24\0\0\0WAVEfmt ", WAV),
        (b"OggS\0\x02", OGG),
        (b"fLaC\0\0\0\x22", FLAC),
        (b"glTF\x02\0\0\0\x10\0\0\0", GLB),
    ],
)
def test_other_families_are_detected_by_their_signature(head: bytes, media: MediaType) -> None:
    assert sniff(head) == media
    assert dimensions(io.BytesIO(head), media) is None


SAMPLES = [
    (media, image_bytes(kind, mode, (9, 7), **options))
    for kind, mode, media, options in ENCODINGS
    if not options.get("icc_profile")
] + [(SVG, SVG_ROOT.encode())]
JUNK = st.binary(max_size=40)


@settings(deadline=None)
@given(JUNK, st.sampled_from([media for media, _ in SAMPLES]))
def test_arbitrary_bytes_never_raise(junk: bytes, media: MediaType) -> None:
    sniff(junk)
    dimensions(io.BytesIO(junk), media)


@settings(deadline=None)
@given(st.sampled_from(SAMPLES), st.integers(0, 400), JUNK, st.booleans())
def test_damaged_images_never_raise(
    sample: tuple[MediaType, bytes],
    at: int,
    junk: bytes,
    cut: bool,  # noqa: FBT001  # hypothesis passes it by name
) -> None:
    media, data = sample
    damaged = data[:at] + junk + (b"" if cut else data[at + len(junk) :])
    sniff(damaged[:HEAD_BYTES])
    size = dimensions(io.BytesIO(damaged), media)
    assert size is None or min(size) > 0


class Counting(io.BytesIO):
    """A file that counts the bytes read."""

    bytes_read = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        self.bytes_read += len(data)
        return data


@pytest.mark.parametrize(
    ("media", "data"),
    [
        (JPEG, b"\xff\xd8" + b"\xff\xe0\x00\x02" * 500_000),
        (JPEG, b"\xff" * 2_000_000),
        (AVIF, b"\0\0\0\x08free" * 300_000),
        (AVIF, b"\0\0\0\0meta" + bytes(3_000_000)),
        (TIFF, b"MM\0*" + struct.pack(">IH", 8, 65535) + b"\0\x01" * 500_000),
        (TIFF, b"II+\0\x08\0\0\0" + b"\xff" * 8),
        (SVG, b" " * 2_000_000),
    ],
)
def test_a_hostile_file_is_not_read_to_its_end(media: MediaType, data: bytes) -> None:
    file = Counting(data)
    assert dimensions(file, media) is None
    assert file.bytes_read <= 1_100_000


@pytest.mark.parametrize(
    "head",
    [
        b"v 0 0 1\n",
        b"# made by hand\n\nmtllib a.mtl\no fox\nv 0.5 -1.25e-3 1\nv",
        b"# " + b"x" * 190 + b"\nv 1 2 3",
    ],
)
def test_an_obj_mesh_is_detected_by_its_first_vertex(head: bytes) -> None:
    assert sniff(head) is OBJ


@pytest.mark.parametrize("head", [b"v 1 2", b"vertex 1 2 3", b"# a heading\n\nText v 1 2 3"])
def test_a_text_is_not_detected_as_a_mesh(head: bytes) -> None:
    assert sniff(head) is None


def test_only_headerless_audio_gets_its_type_from_the_content_type() -> None:
    assert received_type(b"\0\1\0\1", "audio/L16; rate=24000") is PCM
    assert received_type(b"<html>", "text/html") is None
    assert received_type(b"{}", "application/json") is None
    assert received_type(b"OggS\0", "audio/pcm") is not PCM


def test_a_webm_whose_header_has_long_sizes_is_detected() -> None:
    long = b"\x01" + bytes(6)
    names = (b"\x42\x86", b"\x42\xf7", b"\x42\xf2", b"\x42\xf3")
    numbers = b"".join(name + long + b"\1\1" for name in names)
    fields = numbers + b"\x42\x82" + long + b"\4webm"
    head = b"\x1a\x45\xdf\xa3" + long + bytes([len(fields)]) + fields
    assert sniff(head) is WEBM
