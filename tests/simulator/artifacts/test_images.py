"""Images have the right size and format, repeat for the same request, and are never blank."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from batchgen.simulator.artifacts import images, lettering
from batchgen.simulator.artifacts.images import ImageFile
from batchgen.simulator.signed_urls import SignedUrls
from tests.simulator.client import opened

FOX = ImageFile(256, 192, "png", 7, "A fox in the snow", "flux/schnell  seed 7")
SCRIPTS = (
    "A fox in the snow",
    "Façade, Ñandú, über — “žluťoučký”",
    "一只狐狸在雪地里",
    "ثعلب في الثلج",
    "🦊👩🏽‍🚀❄️",
    "हिन्दी ไทย 한국어 Ελληνικά",
    "zero\u200bwidth\x00\x07 \ud800 lone",
    "x" * 3000,
    "",
)


def _rendered(**changes: Any) -> bytes:
    return replace(FOX, **changes).render()


@pytest.mark.parametrize("size", [(64, 64), (1536, 64), (64, 1536), (256, 256), (2752, 1024)])
@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
def test_an_image_has_the_requested_size_and_format(size: tuple[int, int], kind: str) -> None:
    image = opened(_rendered(width=size[0], height=size[1], format=kind))
    assert (image.size, image.format) == (size, kind.upper())


@pytest.mark.parametrize("text", SCRIPTS)
@pytest.mark.parametrize("side", [64, 256])
def test_text_of_any_script_is_rendered(text: str, side: int) -> None:
    image = opened(_rendered(width=side, height=side, text=text)).convert("RGB")
    blank = opened(_rendered(width=side, height=side, text="")).convert("RGB")
    assert (image.tobytes() != blank.tobytes()) == bool(text)


def test_the_same_description_gives_the_same_bytes() -> None:
    assert FOX.render() == FOX.render()
    assert _rendered(look=7) != _rendered(look=8)
    assert _rendered(text="A fox") != _rendered(text="A fax")
    assert _rendered(caption="seed 7") != _rendered(caption="seed 8")


def test_all_backgrounds_differ_and_none_is_blank() -> None:
    looks = range(images.SHAPES * len(images.PALETTES))
    backgrounds = [opened(_rendered(width=48, height=48, look=look, text="")) for look in looks]
    assert len({image.convert("RGB").tobytes() for image in backgrounds}) == len(looks)
    assert all((image.getcolors(48 * 48) or [])[3:] for image in backgrounds)


@settings(max_examples=60)
@given(text=st.text(max_size=300), width=st.integers(20, 600), height=st.integers(10, 300))
def test_any_text_stays_within_its_box(text: str, width: int, height: int) -> None:
    block = lettering.fit(text, width, height, largest_px=24)
    assert all(block.font.getlength(line) <= width for line in block.lines)
    assert block.width <= width
    assert block.height <= max(height, block.line_px)


def test_text_that_does_not_fit_shows_that_it_was_cut() -> None:
    block = lettering.fit("many words " * 50, 60, 30, largest_px=16)
    assert block.lines[-1].endswith("…")


def test_characters_without_a_glyph_are_spelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lettering, "system_fonts", tuple)
    block = lettering.fit("Öl \u2013 Straße 🦊 中", 400, 200, largest_px=16)
    assert block.lines == ["Ol - Strasse [fox face] U+4E2D"]


@settings(max_examples=60)
@given(
    text=st.text(alphabet=st.characters(), max_size=500),
    look=st.integers(0, 2**48),
    seed=st.integers(),
)
def test_a_url_holds_the_whole_description_of_its_image(text: str, look: int, seed: int) -> None:
    image = ImageFile(512, 256, "webp", look, text, "caption")
    path = SignedUrls(seed).path_of(image)
    assert len(path) < 8000
    assert path.isascii()
    assert SignedUrls(seed).file_at(path) == image


def test_a_url_with_any_character_changed_finds_no_file() -> None:
    path = SignedUrls(0).path_of(FOX)
    changed = [path[:i] + chr(ord(path[i]) ^ 1) + path[i + 1 :] for i in range(len(path))]
    assert not any(SignedUrls(0).file_at(wrong) for wrong in changed)
    assert SignedUrls(1).file_at(path) is None
    assert SignedUrls(0).file_at("/files/é?sig=ü") is None


@settings(max_examples=30)
@given(text=st.text(alphabet=st.characters(categories=["Lo", "So", "Mn", "Cs"]), max_size=40))
def test_unusual_characters_never_break_a_drawing(text: str) -> None:
    assert opened(ImageFile(128, 128, "png", 3, text, "x").render()).size == (128, 128)
