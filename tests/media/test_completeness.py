"""Files that end early, and whole files with bytes behind their end."""

import io
import struct
import wave

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchgen.media.completeness import cut_reason
from batchgen.media.formats import sniff

SIZES = [(1, 1), (3, 2), (17, 300), (640, 256)]
FORMS = ["PNG", "WEBP", "JPEG", "GIF", "AVIF"]


def an_image(form: str, size: tuple[int, int] = (64, 64), **options: object) -> bytes:
    buffer = io.BytesIO()
    image = Image.linear_gradient("L").resize(size).convert("RGB")
    image.save(buffer, form, **options)
    return buffer.getvalue()


def a_wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(2000))
    return buffer.getvalue()


def an_mp4() -> bytes:
    boxes = ((b"ftyp", b"isom\0\0\2\0isomiso2mp41"), (b"free", b""), (b"mdat", bytes(400)))
    return b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in boxes)


def a_glb() -> bytes:
    return b"glTF\2\0\0\0" + struct.pack("<I", 500) + bytes(488)


def reason(content: bytes) -> str:
    media = sniff(content[:4096])
    assert media is not None
    return cut_reason(io.BytesIO(content), media, len(content))


@pytest.mark.parametrize("form", FORMS)
@given(data=st.data())
def test_an_image_is_whole_and_is_cut_if_its_end_is_missing(form: str, data: st.DataObject) -> None:
    whole = an_image(form, data.draw(st.sampled_from(SIZES)))
    cut = whole[: data.draw(st.integers(12, len(whole) - 10))]
    assert reason(whole) == ""
    assert reason(cut)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("behind", [b"\n", b"\0" * 20, b"junk" * 40_000])
def test_bytes_behind_the_end_of_an_image_do_not_matter(form: str, behind: bytes) -> None:
    assert reason(an_image(form, (300, 300)) + behind) == ""


def test_the_end_of_a_thumbnail_is_not_the_end_of_its_jpeg() -> None:
    exif = b"Exif\0\0" + an_image("JPEG")
    whole = an_image("JPEG", (400, 400), exif=exif, quality=95)
    assert reason(whole) == ""
    assert reason(whole[: len(exif) + 30])
    assert reason(whole[:-500]) == "a JPEG without its end (EOI)"


@pytest.mark.parametrize("options", [{"progressive": True}, {"quality": 100, "subsampling": 0}])
def test_a_jpeg_of_several_scans_is_whole(options: dict[str, object]) -> None:
    whole = an_image("JPEG", (900, 700), **options)
    assert reason(whole) == ""
    assert reason(whole[:-2])


@pytest.mark.parametrize("make", [a_wav, an_mp4, a_glb])
def test_sound_video_and_meshes_are_judged_by_the_sizes_that_they_give(make: object) -> None:
    assert callable(make)
    whole: bytes = make()
    assert reason(whole) == ""
    assert reason(whole + b"behind it") == ""
    assert reason(whole[:-20])


@pytest.mark.parametrize("size", [b"\xff\xff\xff\xff", b"\xf0\xff\xff\x7f", b"\0\0\0\0"])
def test_a_wav_that_does_not_say_its_size_is_whole(size: bytes) -> None:
    assert reason(a_wav()[:4] + size + a_wav()[8:-100]) == ""


def test_an_svg_ends_with_its_root() -> None:
    svg = b'<svg xmlns="http://www.w3.org/2000/svg"><g><path d="M0 0"/></g></svg>\n'
    assert reason(svg) == ""
    assert reason(svg[:50])


@given(st.sampled_from([an_image(form) for form in FORMS] + [a_wav(), an_mp4()]), st.data())
def test_any_bytes_are_judged_without_an_error(content: bytes, data: st.DataObject) -> None:
    damaged = bytearray(content)
    for _ in range(data.draw(st.integers(0, 5))):
        damaged[data.draw(st.integers(12, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    reason_of = sniff(bytes(damaged))
    if reason_of is not None:
        cut_reason(io.BytesIO(damaged), reason_of, len(damaged))
