"""Prompts as lines that fit a box, legible in any script.

Pillow's bundled font has ASCII and little more. If a text needs more, the well-known system font
that has most of its characters is used; no system font is required. Characters that the font does
not have are spelled: é as e, 🦊 as [fox face], 中 as U+4E2D.
"""

import contextlib
import functools
import math
import textwrap
import unicodedata
from collections.abc import Iterator

import msgspec
from PIL import Image, ImageDraw, ImageFont

_LINE_HEIGHT = 1.3  # in font sizes
_MIN_FONT_PX = 8
_SHRINK = 0.9
_PROBE_PX = 16
_NO_GLYPH = "\U0010ffff"
_FONT_FILES = (
    "DejaVuSans.ttf", "NotoSans-Regular.ttf", "arial.ttf", "segoeui.ttf", "Arial Unicode.ttf",
    "NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "msyh.ttc", "YuGothM.ttc", "malgun.ttf",
    "NotoSansArabic-Regular.ttf", "NotoSansDevanagari-Regular.ttf", "Nirmala.ttf",
)  # fmt: skip


class Block(msgspec.Struct, frozen=True):
    """Lines and the font in which they fit."""

    lines: list[str]
    font: ImageFont.FreeTypeFont

    @property
    def line_px(self) -> int:
        return round(self.font.size * _LINE_HEIGHT)

    @property
    def height(self) -> int:
        return self.line_px * len(self.lines)

    @property
    def width(self) -> float:
        """Pixels of the longest line; joined and kerned characters may take fewer."""
        return max((_width(line, self.font) for line in self.lines), default=0.0)

    def draw(self, image: Image.Image, at: tuple[int, int], ink: int) -> None:
        """Draw the lines on an `L` image, with the upper left corner at a place."""
        left, top = at
        for line in self.lines:
            x = float(left)
            for run in _runs(line):
                image.paste(ink, (round(x), top), _mask(run, self.font))
                x += self.font.getlength(" ") + _advance(run, self.font)
            top += self.line_px


def fit(text: str, width: int, height: int, *, largest_px: int) -> Block:
    """Return the text at the largest font size that fits a box; cut it if no size does."""
    text, face = _legible(text)
    roomy_px = math.isqrt(2 * width * height // max(1, len(text)))
    font_px = max(_MIN_FONT_PX, min(largest_px, roomy_px))
    while font_px > _MIN_FONT_PX:
        block = _wrapped(text, _sized(face, font_px), width)
        if block.height <= height and block.width <= width:
            return block
        font_px = max(_MIN_FONT_PX, int(font_px * _SHRINK))
    font = _sized(face, _MIN_FONT_PX)
    return _wrapped(text, font, width, max(1, height // Block([], font).line_px))


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont, width: int, max_lines: int | None = None
) -> Block:
    """Wrap at a number of characters that is lowered until no line is too wide."""
    columns = max(1, int(width * len(text) / max(1.0, _width(text, font))))
    while True:
        lines = textwrap.wrap(text, columns, max_lines=max_lines, placeholder="…")
        block = Block(lines, font)
        if block.width <= width or columns == 1:
            return block
        columns = max(1, min(columns - 1, int(columns * width / block.width)))


def _legible(text: str) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return a text as words that a font has, and the font."""
    face = _bundled()
    text = " ".join(text.split())
    if text.isascii() and text.isprintable():
        return text, face
    characters = [c for c in unicodedata.normalize("NFC", text) if not _is_invisible(c)]
    if not all(_has_glyph(c, face) for c in characters):
        faces = (face, *system_fonts())
        face = max(faces, key=lambda face: sum(_has_glyph(c, face) for c in characters))
    return " ".join("".join(_spelled(c, face) for c in characters).split()), face


def _is_invisible(character: str) -> bool:
    """Report controls, joiners and variation selectors."""
    return unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f"


def _spelled(character: str, face: ImageFont.FreeTypeFont) -> str:
    """Return a character, or if the font does not have it, something legible in its place."""
    spellings = _spellings(character)
    return next(s for s in spellings if all(_has_glyph(c, face) for c in s) or s[:3] == " U+")


def _spellings(character: str) -> Iterator[str]:
    yield character
    category = unicodedata.category(character)
    if category == "Pd":
        yield "-"
    if category.startswith("S"):
        yield f" [{unicodedata.name(character).lower()}] "
    for plain in (unicodedata.normalize("NFKD", character), character.casefold()):
        yield "".join(c for c in plain if not unicodedata.combining(c))
    yield f" U+{ord(character):04X} "


@functools.lru_cache(maxsize=16384)
def _has_glyph(character: str, face: ImageFont.FreeTypeFont) -> bool:
    return bytes(face.getmask(character)) != bytes(face.getmask(_NO_GLYPH))


def _width(line: str, font: ImageFont.FreeTypeFont) -> float:
    return sum(_advance(character, font) for character in line)


@functools.lru_cache(maxsize=16384)
def _advance(run: str, font: ImageFont.FreeTypeFont) -> float:
    return font.getlength(run)


def _runs(line: str) -> list[str]:
    """Return the words; a line with words that run to the left stays whole for its order."""
    leftwards = any(unicodedata.bidirectional(character) in ("R", "AL") for character in line)
    return [line] if leftwards else line.split(" ")


@functools.lru_cache(maxsize=1024)
def _mask(run: str, font: ImageFont.FreeTypeFont) -> Image.Image:
    """Draw a word once: that takes much longer than pasting it."""
    _, _, right, bottom = font.getbbox(run)
    mask = Image.new("L", (max(1, math.ceil(right)), max(1, math.ceil(bottom))))
    ImageDraw.Draw(mask).text((0, 0), run, fill=255, font=font)
    return mask


@functools.lru_cache(maxsize=256)
def _sized(face: ImageFont.FreeTypeFont, size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font that draws lines: Raqm joins Arabic letters, where Pillow has it."""
    engine = ImageFont.Layout.BASIC if face is _bundled() else ImageFont.Layout.RAQM
    return face.font_variant(size=size_px, layout_engine=engine)


@functools.cache
def _bundled() -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(_PROBE_PX)
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.font_variant(layout_engine=ImageFont.Layout.BASIC)
    raise RuntimeError("Pillow was built without FreeType; install its wheel from PyPI")


@functools.cache
def system_fonts() -> tuple[ImageFont.FreeTypeFont, ...]:
    """Return the well-known fonts that are installed; Pillow searches the system's directories."""
    faces = []
    for name in _FONT_FILES:
        with contextlib.suppress(OSError):
            basic = ImageFont.Layout.BASIC  # Raqm draws a circle below a lone mark
            faces.append(ImageFont.truetype(name, _PROBE_PX, layout_engine=basic))
    return tuple(faces)
