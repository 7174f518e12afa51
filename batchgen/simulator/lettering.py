"""Text as coverage (0 paper, 255 ink), wrapped to a box, in any script.

Pillow's bundled font is used alone, so that pictures are the same on every machine. It has ASCII
and little more: accented letters get their accents drawn, and a character without a glyph becomes
its code point in a small box.
"""

import functools
import unicodedata
from collections.abc import Iterable, Iterator

import msgspec
from PIL import Image, ImageDraw, ImageFont

_LEADING = 1.3
_LEAST_FONT = 8
_SHRINK = 0.88
_NO_GLYPH = "\U0010ffff"
_LOOKALIKES = str.maketrans("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-------")
_DIAERESIS, _BELOW = "\u0308", "\u0327"
_STROKES = {  # accents as lines in a square, (-1, -1) being its upper left corner
    "\u0300": ((-1, -1), (1, 1)),
    "\u0301": ((1, -1), (-1, 1)),
    "\u0302": ((-1, 1), (0, -1), (1, 1)),
    "\u0303": ((-1.2, 0.5), (-0.4, -0.5), (0.4, 0.5), (1.2, -0.5)),
    "\u0304": ((-1, 0), (1, 0)),
    _DIAERESIS: ((-1, 0), (-0.7, 0), (0.7, 0), (1, 0)),
    "\u030a": ((-1, 0), (0, -1), (1, 0), (0, 1), (-1, 0)),
    "\u030c": ((-1, -1), (0, 1), (1, -1)),
    _BELOW: ((0, -1), (0.5, 0), (-0.3, 0.8)),
}


class Letter(msgspec.Struct, frozen=True):
    """What is drawn in one place: a glyph with accents, or a code point in a box."""

    glyph: str
    accents: tuple[str, ...] = ()
    boxed: bool = False


_ELLIPSIS = Letter("…")


class Stamp(msgspec.Struct, frozen=True):
    """The ink of a letter, and where it goes from the letter's place."""

    ink: Image.Image
    left: int
    top: int


class Block(msgspec.Struct, frozen=True):
    """Lines that fit a box at a font size."""

    lines: tuple[tuple[Letter, ...], ...]
    font_px: int

    @property
    def line_px(self) -> int:
        return round(self.font_px * _LEADING)

    @property
    def width(self) -> float:
        return max((_width(line, self.font_px) for line in self.lines), default=0.0)

    @property
    def height(self) -> int:
        return self.line_px * len(self.lines)


def fit(text: str, width: int, height: int, *, largest_px: int) -> Block:
    """Set a text as large as it fits; what does not fit at the least size is cut, and shows it."""
    words = [tuple(letters(word)) for word in text.split()]
    font_px = max(_LEAST_FONT, largest_px)
    while True:
        block = Block(tuple(_wrap(words, width, font_px)), font_px)
        fits = block.height <= height and block.width <= width
        if fits or font_px == _LEAST_FONT:
            return _cut(block, width, height)
        font_px = max(_LEAST_FONT, int(font_px * _SHRINK))


def draw(block: Block, size: tuple[int, int], at: tuple[int, int] = (0, 0)) -> Image.Image:
    """An `L` image of a size with the block's upper left corner at a place."""
    image = Image.new("L", size)
    left, top = at
    for line in block.lines:
        x = float(left)
        for letter in line:
            stamp = _stamp(letter, block.font_px)
            image.paste(255, (round(x) + stamp.left, top + stamp.top), stamp.ink)
            x += advance(letter, block.font_px)
        top += block.line_px
    return image


def letters(word: str) -> Iterator[Letter]:
    """The letters of a word without white space; controls and joiners leave nothing."""
    for character in unicodedata.normalize("NFC", word).translate(_LOOKALIKES):
        if unicodedata.category(character) in ("Cc", "Cf") or "\ufe00" <= character <= "\ufe0f":
            continue
        parts = unicodedata.normalize("NFD", character)
        if has_glyph(parts[0]) and all(mark in _STROKES for mark in parts[1:]):
            yield Letter(parts[0], tuple(parts[1:]))
        else:
            yield Letter(f"{ord(character):04X}", boxed=True)


@functools.lru_cache(maxsize=4096)
def has_glyph(character: str) -> bool:
    """Whether the font draws a character otherwise than what it cannot draw."""
    return bytes(_font(16).getmask(character)) != bytes(_font(16).getmask(_NO_GLYPH))


def advance(letter: Letter, font_px: int) -> float:
    """Pixels from this letter to the next."""
    if letter.boxed:
        return _box_px(letter.glyph, font_px) + 2
    return _length(letter.glyph, font_px)


def _width(line: Iterable[Letter], font_px: int) -> float:
    return sum(advance(letter, font_px) for letter in line)


@functools.lru_cache(maxsize=16384)
def _length(glyphs: str, font_px: int) -> float:
    return _font(font_px).getlength(glyphs)


@functools.lru_cache(maxsize=256)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size_px)
    if isinstance(font, ImageFont.FreeTypeFont):
        return font.font_variant(layout_engine=ImageFont.Layout.BASIC)  # Raqm is not everywhere
    raise RuntimeError("Pillow was built without FreeType; install its wheel from PyPI")


def _wrap(
    words: list[tuple[Letter, ...]], width: int, font_px: int
) -> Iterator[tuple[Letter, ...]]:
    """Greedy lines; a word that is wider than a line, as of a script without spaces, is broken."""
    line: list[Letter] = []
    used = 0.0
    for word in words:
        word_px = _width(word, font_px)
        space = [Letter(" ")] if line else []
        if line and used + word_px + advance(Letter(" "), font_px) > width:
            yield tuple(line)
            line, used, space = [], 0.0, []
        for letter in (*space, *word):
            letter_px = advance(letter, font_px)
            if line and used + letter_px > width:
                yield tuple(line)
                line, used = [], 0.0
            line.append(letter)
            used += letter_px
    if line:
        yield tuple(line)


def _cut(block: Block, width: int, height: int) -> Block:
    most = max(1, height // block.line_px)
    if len(block.lines) <= most:
        return block
    last = [*block.lines[most - 1], _ELLIPSIS]
    while len(last) > 1 and _width(last, block.font_px) > width:
        del last[-2]
    return Block((*block.lines[: most - 1], tuple(last)), block.font_px)


@functools.lru_cache(maxsize=8192)
def _stamp(letter: Letter, font_px: int) -> Stamp:
    """Draw a letter once for all: FreeType takes ten times as long as pasting."""
    pad = font_px // 2 + 2
    image = Image.new("L", (round(advance(letter, font_px)) + 2 * pad, 2 * font_px + 2 * pad))
    pen = ImageDraw.Draw(image)
    if letter.boxed:
        _draw_box(pen, letter.glyph, (pad, pad), font_px)
    else:
        pen.text((pad, pad), letter.glyph, fill=255, font=_font(font_px))
        for mark in letter.accents:
            _draw_accent(pen, letter.glyph, mark, at=(pad, pad), font_px=font_px)
    left, top, right, bottom = image.getbbox() or (0, 0, 1, 1)
    return Stamp(image.crop((left, top, right, bottom)), left - pad, top - pad)


def _draw_accent(
    pen: ImageDraw.ImageDraw, glyph: str, mark: str, *, at: tuple[int, int], font_px: int
) -> None:
    left, top, right, bottom = _font(font_px).getbbox(glyph)
    reach = max(1.0, font_px * 0.1)
    middle = at[0] + (left + right) / 2
    level = at[1] + (bottom + reach if mark == _BELOW else top - 1.6 * reach)
    points = [(middle + reach * x, level + reach * y) for x, y in _STROKES[mark]]
    dots = mark == _DIAERESIS
    for stroke in (points[:2], points[2:]) if dots else (points,):
        pen.line(stroke, fill=255, width=max(1, font_px // (10 if dots else 16)))


def _box_px(code: str, font_px: int) -> int:
    """A box holds its code in two rows of two or three digits."""
    return max(8, round(font_px * (0.75 if len(code) <= len("FFFF") else 1.0)))


def _draw_box(pen: ImageDraw.ImageDraw, code: str, at: tuple[int, int], font_px: int) -> None:
    x, y = at
    wide, high = _box_px(code, font_px), round(font_px * 1.1)
    pen.rectangle((x, y + 1, x + wide - 1, y + high), outline=150)
    half = (len(code) + 1) // 2
    small = _font(max(5, round(font_px * 0.42)))
    for row, digits in enumerate((code[:-half], code[-half:])):
        middle = (x + wide / 2, y + 1 + high * (0.27 + 0.46 * row))
        pen.text(middle, digits, fill=255, font=small, anchor="mm")
