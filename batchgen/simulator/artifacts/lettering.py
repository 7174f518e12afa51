"""Prompts as lines that fit a box, legible in any script.

Pillow's own font has little more than ASCII. If a text needs more, the well-known system font that
has most of its characters is used; none is required. Characters that the font does not have are
spelled: é as e, 🦊 as [fox face], 中 as U+4E2D.
"""

import contextlib
import functools
import math
import textwrap
import unicodedata

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
    """Lines and the font in which they fit; all sizes are in pixels."""

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
        return max((self.font.getlength(line) for line in self.lines), default=0.0)

    def draw(self, image: Image.Image, at: tuple[int, int], ink: int) -> None:
        """Draw the lines on an `L` image; `at` is the upper left corner."""
        pen = ImageDraw.Draw(image)
        for index, line in enumerate(self.lines):
            pen.text((at[0], at[1] + index * self.line_px), line, fill=ink, font=self.font)


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


def _sized(face: ImageFont.FreeTypeFont, size_px: int) -> ImageFont.FreeTypeFont:
    """Return the font that draws lines; Raqm joins Arabic letters, if Pillow has it."""
    return face.font_variant(size=size_px, layout_engine=ImageFont.Layout.RAQM)


def _wrapped(
    text: str, font: ImageFont.FreeTypeFont, width: int, max_lines: int | None = None
) -> Block:
    """Wrap at a number of characters that is lowered until no line is too wide."""
    columns = max(1, int(width * len(text) / max(1.0, font.getlength(text))))
    while True:
        block = Block(textwrap.wrap(text, columns, max_lines=max_lines, placeholder="…"), font)
        if columns == 1 or block.width <= width:
            return block
        columns = max(1, min(columns - 1, int(columns * width / block.width)))


def _legible(text: str) -> tuple[str, ImageFont.FreeTypeFont]:
    """Return a text in characters that a font has, and the font."""
    text = unicodedata.normalize("NFC", " ".join(text.split()))
    face = _bundled()
    if not all(_has_glyph(c, face) for c in text):
        faces = (face, *system_fonts())
        face = max(faces, key=lambda face: sum(_has_glyph(c, face) for c in text))
    return " ".join("".join(_spelled(c, face) for c in text).split()), face


def _spelled(character: str, face: ImageFont.FreeTypeFont) -> str:
    """Return a character or, if the font does not have it, something legible in its place."""
    category = unicodedata.category(character)
    if category in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f":
        return ""  # controls, joiners and variation selectors
    name = f" [{unicodedata.name(character, '').lower()}] " if category.startswith("S") else ""
    dash = "-" if category == "Pd" else ""
    plain = (unicodedata.normalize("NFKD", character), character.casefold())
    bare = ("".join(c for c in text if not unicodedata.combining(c)) for text in plain)
    for spelling in (character, dash, name, *bare):
        if spelling and all(_has_glyph(c, face) for c in spelling):
            return spelling
    return f" U+{ord(character):04X} "


@functools.lru_cache(maxsize=16384)
def _has_glyph(character: str, face: ImageFont.FreeTypeFont) -> bool:
    return bytes(face.getmask(character)) != bytes(face.getmask(_NO_GLYPH))


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
