"""Images: hills under a sun or a moon, and a panel with the prompt.

They are drawn in shades from 0 (dark) to 255 (light); a palette gives the shades their colours. So
images of the same shape share a background, and encoding a PNG is cheap.
"""

import functools
import io
import math
import random

import msgspec
from PIL import Image, ImageDraw

from batchgen.simulator.artifacts import lettering

MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}
SHAPES = 16  # backgrounds; each is drawn in every palette
PALETTES = (  # five colours from the darkest to the lightest
    "1d2440 52396b c8506a f59a6e ffe3b8", "0c2733 14566a 2f93a0 8fd3c1 f3f7e4",
    "1f2a1c 40603a 7fa05a cfd58d fbf6df", "2b1b22 6e2f35 c0563b eba851 fdf0cf",
    "151b33 2f3f86 6a78d1 b7b4ee f6f0ff", "232323 4e4a4d 8e8580 d3c6b5 f8f1e5",
    "10222e 1f4e5f e06b4a f4b860 fbf3dc", "2a1633 7a2c6d d6568a f7a8a0 fff0e2",
    "0f2b26 1f6f5c 57b48a f2c462 fdf6dd", "1a2233 3b5875 8fb0c6 d9e4ea ffffff",
)  # fmt: skip
_PANEL, _DIM_INK, _INK = 24, 160, 255
_SKIES = ((140, 255), (140, 255), (10, 160))  # shades at top and bottom: two days, one night
_LAYERS = 6
_CAPTION_FROM_PX = 128
_ENCODING: dict[str, dict[str, int]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 85},
    "webp": {"quality": 80, "method": 0},
    "tiff": {},
}


class ImageFile(msgspec.Struct, frozen=True):
    """Everything that determines the bytes of an image.

    format: a key of `MEDIA_TYPES`. look: any number; decides the background.
    text: the beginning of the prompt; caption: the small line below it.
    """

    width: int
    height: int
    format: str
    look: int
    text: str
    caption: str

    @property
    def media_type(self) -> str:
        return MEDIA_TYPES[self.format]

    def render(self) -> bytes:
        """Return the encoded image, of exactly its size and format."""
        number, shape = divmod(self.look, SHAPES)
        image = _background(shape, self.width, self.height).copy()
        _draw_panel(image, self.text, self.caption)
        stops = Image.frombytes("RGB", (5, 1), bytes.fromhex(PALETTES[number % len(PALETTES)]))
        image.putpalette(stops.resize((256, 1), Image.Resampling.BILINEAR).tobytes())
        out = io.BytesIO()
        has_palette = self.format in ("png", "tiff")
        coloured = image if has_palette else image.convert("RGB")
        coloured.save(out, self.format.upper(), **_ENCODING[self.format])
        return out.getvalue()


@functools.lru_cache(maxsize=SHAPES)
def _background(shape: int, width: int, height: int) -> Image.Image:
    """Return the landscape as an `L` image; it is drawn at twice the size for smooth edges."""
    dice = random.Random(shape)  # noqa: S311 - an image, not a secret
    wide, high = 2 * width, 2 * height
    top, bottom = dice.choice(_SKIES)
    shades = [top + (bottom - top) * level // 255 for level in range(256)]
    gradient = Image.linear_gradient("L").point(shades)
    image = gradient.resize((wide, high), Image.Resampling.NEAREST)
    x, y = round(wide * dice.uniform(0.2, 0.8)), round(high * dice.uniform(0.2, 0.35))
    radius = min(wide, high) // 2
    glow = Image.radial_gradient("L").point([max(0, 180 - level) * 4 // 5 for level in range(256)])
    glow = glow.resize((2 * radius, 2 * radius), Image.Resampling.BILINEAR)
    image.paste(255, (x - radius, y - radius), glow)
    pen = ImageDraw.Draw(image)
    pen.circle((x, y), radius * 0.22, fill=255)
    waves, swing = math.tau * dice.uniform(0.5, 2) / wide, high * dice.uniform(0.02, 0.06)
    for layer in range(_LAYERS):
        crest, phase = high * (0.38 + 0.1 * layer), dice.uniform(0, math.tau)
        line = [
            (x, crest + swing * (math.sin(x * waves + phase) + math.sin(x * waves * 2.3) / 2))
            for x in range(0, wide + 8, 8)
        ]
        pen.polygon([(0, high), *line, (wide, high)], fill=30 * (_LAYERS - 1 - layer))
    return image.reduce(2)


def _draw_panel(image: Image.Image, text: str, caption: str) -> None:
    """Draw the panel with the text at the lower edge; a small image is mostly panel."""
    width, height = image.size
    short = min(width, height)
    margin, padding = short // 20, max(2, short // 28)
    inner = max(8, width - 2 * (margin + padding))
    captioned = short >= _CAPTION_FROM_PX
    room = int(height * (0.5 if captioned else 0.94)) - 2 * padding
    blocks = [lettering.fit(text, inner, room, largest_px=min(64, short // 14))]
    if captioned:
        small = max(8, short // 36)
        blocks.append(lettering.fit(caption, inner, 2 * small, largest_px=small))
    bottom, gap = height - margin, padding // 2
    top = max(0, bottom - 2 * padding - sum(block.height + gap for block in blocks))
    ImageDraw.Draw(image).rectangle((margin, top, width - margin - 1, bottom - 1), fill=_PANEL)
    top += padding
    for block, ink in zip(blocks, (_INK, _DIM_INK), strict=False):
        block.draw(image, (margin + padding, top), ink)
        top += block.height + gap
