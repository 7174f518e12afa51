"""A story in a picture's metadata: read back by us and by others, the pixels as they were."""

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from batchgen.media.embed import MOST_BYTES, edits, embedded, splice
from batchgen.media.formats import JPEG, WEBP, MediaType, sniff

STORY = json.dumps({"prompt": 'A "fox" & <owl>, 山水', "seed": 7}, ensure_ascii=False)


def a_picture(kind: str, mode: str = "RGB", **options: object) -> bytes:
    file = io.BytesIO()
    picture = Image.effect_noise((61, 40), 90).convert(mode)
    picture.save(file, kind, **options)
    return file.getvalue()


def told(data: bytes, story: str = STORY, description: str = "A fox") -> bytes:
    media = sniff(data)
    assert media is not None
    changes = edits(io.BytesIO(data), media, story, description)
    assert changes is not None
    made = bytearray()
    splice(io.BytesIO(data), changes, made.extend)
    return bytes(made)


def story_in(data: bytes) -> str | None:
    media = sniff(data)
    assert media is not None
    return embedded(io.BytesIO(data), media)


def pixels(data: bytes) -> bytes:
    with Image.open(io.BytesIO(data)) as picture:
        return picture.tobytes()


PICTURES = {
    "png": a_picture("PNG"),
    "png with transparency": a_picture("PNG", "RGBA"),
    "jpeg": a_picture("JPEG"),
    "jpeg with exif": a_picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
    "lossy webp": a_picture("WEBP", quality=80),
    "lossless webp": a_picture("WEBP", lossless=True),
    "webp with transparency": a_picture("WEBP", "RGBA", lossless=True),
    "extended webp": a_picture("WEBP", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"),
}


@pytest.mark.parametrize("data", PICTURES.values(), ids=PICTURES)
def test_a_story_comes_back_and_the_pixels_are_untouched(data: bytes) -> None:
    made = told(data)
    assert story_in(data) is None
    assert story_in(made) == STORY
    assert pixels(made) == pixels(data)
    with Image.open(io.BytesIO(made)) as picture:
        assert picture.size == (61, 40)


def test_other_programs_find_the_prompt() -> None:
    with Image.open(io.BytesIO(told(PICTURES["png"]))) as picture:
        picture.load()
        assert picture.info["Description"] == "A fox"
        assert json.loads(picture.info["batchgen"])["seed"] == 7
    for name in ("jpeg", "lossy webp"):
        with Image.open(io.BytesIO(told(PICTURES[name]))) as picture:
            assert b"A fox</rdf:li>" in picture.info["xmp"]


@pytest.mark.parametrize("name", ["jpeg", "lossy webp", "extended webp"])
def test_a_file_with_such_metadata_of_its_own_is_left_alone(name: str) -> None:
    made = told(PICTURES[name])
    media = sniff(made)
    assert media in (JPEG, WEBP)
    assert edits(io.BytesIO(made), media, STORY, "") is None


def test_a_jpeg_keeps_its_first_segment_first() -> None:
    made = told(PICTURES["jpeg"])
    assert made[2:4] == b"\xff\xe0"
    assert made[20:22] == b"\xff\xe1"


def test_a_story_that_is_too_long_is_not_embedded() -> None:
    data = PICTURES["jpeg"]
    assert edits(io.BytesIO(data), JPEG, "x" * (MOST_BYTES + 1), "") is None
    assert edits(io.BytesIO(data), JPEG, "x", "y" * 70_000) is None


@given(st.text(st.characters(codec="utf-8"), max_size=200), st.sampled_from(sorted(PICTURES)))
def test_any_text_comes_back_as_it_was(text: str, name: str) -> None:
    story = json.dumps({"prompt": text})
    assert story_in(told(PICTURES[name], story, text)) == story


@given(st.sampled_from(sorted(PICTURES)), st.integers(12, 400), st.binary(max_size=40))
def test_damaged_files_are_no_reason_for_an_exception(name: str, at: int, junk: bytes) -> None:
    data = told(PICTURES[name])
    damaged = data[:at] + junk + data[at + len(junk) :]
    media = sniff(damaged)
    assert media is None or isinstance(media, MediaType)
    if media is not None:
        embedded(io.BytesIO(damaged), media)
        edits(io.BytesIO(damaged[:at]), media, STORY, "")
