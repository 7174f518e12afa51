"""Embedded metadata: batchgen and other programs read it, and the pixels are unchanged."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchgen.media.embed import MAX_METADATA_BYTES, apply_edits, metadata_edits, read_metadata
from batchgen.media.formats import JPEG, WEBP, MediaType, sniff

METADATA = json.dumps({"prompt": 'A "fox" & <owl>, 山水', "seed": 7}, ensure_ascii=False)


def an_image(kind: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    image = Image.effect_noise((61, 40), 90).convert(mode)
    image.save(file, kind, **options)
    return file.getvalue()


def embed(data: bytes, metadata: str = METADATA, description: str = "A fox") -> bytes:
    media = sniff(data)
    assert media is not None
    changes = metadata_edits(io.BytesIO(data), media, metadata, description)
    assert changes is not None
    edited = bytearray()
    apply_edits(io.BytesIO(data), changes, edited.extend)
    return bytes(edited)


def metadata_in(data: bytes) -> str | None:
    media = sniff(data)
    assert media is not None
    return read_metadata(io.BytesIO(data), media)


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as image:
        return image.tobytes()


IMAGES = {
    "png": an_image("PNG"),
    "png with transparency": an_image("PNG", "RGBA"),
    "jpeg": an_image("JPEG"),
    "jpeg with exif": an_image("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "lossy webp": an_image("WEBP", quality=80),
    "lossless webp": an_image("WEBP", lossless=True),
    "webp with transparency": an_image("WEBP", "RGBA", lossless=True),
    "extended webp": an_image("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("data", IMAGES.values(), ids=IMAGES)
def test_metadata_is_read_back_and_the_pixels_are_unchanged(data: bytes) -> None:
    edited = embed(data)
    assert metadata_in(data) is None
    assert metadata_in(edited) == METADATA
    assert pixels(edited) == pixels(data)
    with Image.open(io.BytesIO(edited)) as image:
        assert image.size == (61, 40)


def test_other_programs_find_the_prompt() -> None:
    with Image.open(io.BytesIO(embed(IMAGES["png"]))) as image:
        image.load()
        assert image.info["Description"] == "A fox"
        assert json.loads(image.info["batchgen"])["seed"] == 7
    for name in ("jpeg", "lossy webp"):
        with Image.open(io.BytesIO(embed(IMAGES[name]))) as image:
            assert b"A fox</rdf:li>" in image.info["xmp"]


@pytest.mark.parametrize("name", ["jpeg", "lossy webp", "extended webp"])
def test_a_file_that_already_has_such_metadata_is_not_changed(name: str) -> None:
    edited = embed(IMAGES[name])
    media = sniff(edited)
    assert media in (JPEG, WEBP)
    assert metadata_edits(io.BytesIO(edited), media, METADATA, "") is None


def test_a_jpeg_keeps_its_first_segment_first() -> None:
    edited = embed(IMAGES["jpeg"])
    assert edited[2:4] == b"\xff\xe0"
    assert edited[20:22] == b"\xff\xe1"


def test_metadata_that_is_too_long_is_not_embedded() -> None:
    data = IMAGES["jpeg"]
    assert metadata_edits(io.BytesIO(data), JPEG, "x" * (MAX_METADATA_BYTES + 1), "") is None
    assert metadata_edits(io.BytesIO(data), JPEG, "x", "y" * 70_000) is None


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.sampled_from(sorted(IMAGES)))
def test_any_text_is_read_back_unchanged(text: str, name: str) -> None:
    metadata = json.dumps({"prompt": text})
    assert metadata_in(embed(IMAGES[name], metadata, text)) == metadata


@given(st.sampled_from(sorted(IMAGES)), st.integers(12, 400), st.binary(max_size=40))
def test_damaged_files_never_raise(name: str, at: int, junk: bytes) -> None:
    data = embed(IMAGES[name])
    damaged = data[:at] + junk + data[at + len(junk) :]
    media = sniff(damaged)
    assert media is None or isinstance(media, MediaType)
    if media is not None:
        read_metadata(io.BytesIO(damaged), media)
        metadata_edits(io.BytesIO(damaged[:at]), media, METADATA, "")
