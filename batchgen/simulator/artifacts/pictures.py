"""The pictures: layered hills under a sun or a moon, and on them a panel with the prompt.

A picture is an image of palette indices until it is encoded: 240 colours of its background from
dark to light, and 16 shades from the panel's paper to its ink. That makes a PNG four times as
cheap, and lets backgrounds share their shapes.
"""

import functools
import io
import math
import random

import msgspec
from PIL import Image, ImageDraw, ImageOps

from batchgen.simulator.artifacts import lettering

EXCERPT_CHARS = 500  # of the prompt, that a picture shows
MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}

SHAPES = 16  # backgrounds; each is drawn in every palette
PALETTES = (  # five colours from the darkest to the lightest
    "1d2440 52396b c8506a f59a6e ffe3b8",
    "0c2733 14566a 2f93a0 8fd3c1 f3f7e4",
    "1f2a1c 40603a 7fa05a cfd58d fbf6df",
    "2b1b22 6e2f35 c0563b eba851 fdf0cf",
    "151b33 2f3f86 6a78d1 b7b4ee f6f0ff",
    "232323 4e4a4d 8e8580 d3c6b5 f8f1e5",
    "10222e 1f4e5f e06b4a f4b860 fbf3dc",
    "2a1633 7a2c6d d6568a f7a8a0 fff0e2",
    "0f2b26 1f6f5c 57b48a f2c462 fdf6dd",
    "1a2233 3b5875 8fb0c6 d9e4ea ffffff",
)
_PAPER, _DIM_INK, _INK = 240, 249, 255
_SKIES = ((135, 239), (135, 239), (10, 150))  # shades at top and bottom: day twice, night
_LAYERS = 6
_CAPTION_FROM_PX = 128
_ENCODING: dict[str, dict[str, int]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 85},
    "webp": {"quality": 80, "method": 0},
    "tiff": {},
}


class Picture(msgspec.Struct, frozen=True):
    """Everything that determines the bytes of a picture.

    format: a key of `MEDIA_TYPES`.
    look: any number; decides the background.
    text: the beginning of the prompt; caption: the small line below it.
    """

    width: int
    height: int
    format: str
    look: int
    text: str
    caption: str


def draw(picture: Picture) -> bytes:
    """Return the encoded picture, of exactly its size and format."""
    number, shape = divmod(picture.look, SHAPES)
    image = background(shape, picture.width, picture.height).copy()
    _draw_panel(image, picture)
    image.putpalette(_colours(PALETTES[number % len(PALETTES)]))
    return _encoded(image, picture.format)


@functools.lru_cache(maxsize=SHAPES)
def background(shape: int, width: int, height: int) -> Image.Image:
    """Return an `L` image of a size: 0 is the darkest colour, 239 the lightest.

    It is drawn at twice the size, so that edges are smooth.
    """
    dice = random.Random(shape)  # noqa: S311 - a picture, not a secret
    size = (2 * width, 2 * height)
    image = _sky(size, *dice.choice(_SKIES))
    _draw_sun(image, (dice.uniform(0.2, 0.8), dice.uniform(0.2, 0.35)))
    humps, swing = dice.uniform(0.5, 2), dice.uniform(0.02, 0.06)
    pen = ImageDraw.Draw(image)
    for layer in range(_LAYERS):
        crest = 0.38 + 0.1 * layer
        line = _rolling(size[0], humps, dice.uniform(0, math.tau))
        points = [(x, size[1] * (crest + swing * y)) for x, y in line]
        shade = round(150 * (1 - layer / (_LAYERS - 1)))
        pen.polygon([(0, size[1]), *points, (size[0], size[1])], fill=shade)
    return image.reduce(2)


def _sky(size: tuple[int, int], top: int, bottom: int) -> Image.Image:
    shades = [top + (bottom - top) * level // 255 for level in range(256)]
    column = Image.linear_gradient("L").resize((1, size[1])).point(shades)
    return column.resize(size, Image.Resampling.NEAREST)


def _draw_sun(image: Image.Image, place: tuple[float, float]) -> None:
    """Draw a disc in its glow; the place is in shares of the image."""
    reach = min(image.size) // 2
    x, y = int(image.width * place[0]), int(image.height * place[1])
    glow = ImageOps.invert(Image.radial_gradient("L")).resize((2 * reach, 2 * reach))
    glow = glow.point([max(0, level - 75) * 4 // 5 for level in range(256)])
    image.paste(_PAPER - 1, (x - reach, y - reach, x + reach, y + reach), glow)
    ImageDraw.Draw(image).circle((x, y), reach * 0.22, fill=_PAPER - 1)


def _rolling(width: int, humps: float, phase: float) -> list[tuple[float, float]]:
    """Return points of a rolling line around 0 from the left edge to the right one."""
    turns = math.tau * humps / width
    return [
        (x, math.sin(x * turns + phase) + 0.5 * math.sin(x * turns * 2.3 + 2 * phase))
        for x in range(0, width + 8, 8)
    ]


def _draw_panel(image: Image.Image, picture: Picture) -> None:
    """Draw the panel with the text at the lower edge; a small picture is mostly panel."""
    width, height = image.size
    short = min(width, height)
    margin, padding = short // 20, max(2, short // 28)
    inner = max(8, width - 2 * (margin + padding))
    captioned = short >= _CAPTION_FROM_PX
    room = int(height * (0.5 if captioned else 0.94)) - 2 * padding
    text = lettering.fit(picture.text, inner, room, largest_px=min(64, short // 14))
    small = max(8, short // 36)
    words = picture.caption if captioned else ""
    caption = lettering.fit(words, inner, 2 * small, largest_px=small)
    gap = padding // 2 if text.lines and caption.lines else 0
    bottom = height - margin
    top = max(0, bottom - text.height - gap - caption.height - 2 * padding)
    ImageDraw.Draw(image).rectangle((margin, top, width - margin - 1, bottom - 1), fill=_PAPER)
    left, below = margin + padding, top + padding + text.height + gap
    text.draw(image, (left, top + padding), _INK)
    caption.draw(image, (left, below), _DIM_INK)


@functools.cache
def _colours(palette: str) -> bytes:
    """Return 240 colours from dark to light, and 16 from the darkest to the lightest."""
    stops = bytes.fromhex(palette)
    return _ramp(stops, _PAPER) + _ramp(stops[:3] + stops[-3:], 256 - _PAPER)


def _ramp(stops: bytes, count: int) -> bytes:
    """Return colours that blend from each of the stops to the next."""
    image = Image.frombytes("RGB", (len(stops) // 3, 1), stops)
    box = (0.5, 0, image.width - 0.5, 1)
    return image.resize((count, 1), Image.Resampling.BILINEAR, box).tobytes()


def _encoded(image: Image.Image, format_name: str) -> bytes:
    out = io.BytesIO()
    if format_name in ("jpeg", "webp"):
        image = image.convert("RGB")
    image.save(out, format_name.upper(), **_ENCODING[format_name])
    return out.getvalue()
