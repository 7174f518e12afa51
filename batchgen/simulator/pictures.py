"""The pictures: a background, and on it a panel with the prompt.

A picture is an image of palette indices until it is encoded: 239 colours of its background, an
accent, and 16 shades from the panel's paper to its ink. That makes a PNG four times as cheap.
"""

import functools
import io
import threading
from collections import OrderedDict

import msgspec
from PIL import Image

from batchgen.simulator import composers, lettering

EXCERPT_CHARS = 500  # of the prompt, that a picture shows
MEDIA_TYPES = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tiff": "image/tiff",
}

_GROUND_COLOURS = 239
_ACCENT = _GROUND_COLOURS
_PAPER = _ACCENT + 1
_SHADES = 256 - _PAPER
_INKING = [_PAPER + level * (_SHADES - 1) // 255 for level in range(256)]
_DRAWN_PX = 1600  # longest side at which a background is drawn; larger ones are scaled up
_CACHE_BYTES = 64 << 20
_CAPTION_FROM_PX = 128
_ENCODING: dict[str, dict[str, int]] = {
    "png": {"compress_level": 1},
    "jpeg": {"quality": 85},
    "webp": {"quality": 80, "method": 0},
    "tiff": {},
}


class Picture(msgspec.Struct, frozen=True):
    """Everything that a picture's bytes follow from.

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


class Ground(msgspec.Struct, frozen=True):
    """A background as palette indices with the picture's whole palette."""

    indices: Image.Image
    palette: bytes


class Easel:
    """Draws pictures; keeps the backgrounds used last, 64 MiB of them. For use by threads."""

    def __init__(self, cache_bytes: int = _CACHE_BYTES) -> None:
        self._grounds: OrderedDict[tuple[int, int, int], Ground] = OrderedDict()
        self._room = cache_bytes
        self._lock = threading.Lock()

    def draw(self, picture: Picture) -> bytes:
        """The encoded picture, of exactly its size and format."""
        ground = self._ground(picture.look % composers.COUNT, picture.width, picture.height)
        image = ground.indices.copy()
        if picture.look // composers.COUNT % 2:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        _lay_panel(image, picture)
        image.putpalette(ground.palette)
        return _encoded(image, picture.format)

    def _ground(self, number: int, width: int, height: int) -> Ground:
        key = (number, width, height)
        with self._lock:
            if key in self._grounds:
                self._grounds.move_to_end(key)
                return self._grounds[key]
        ground = paint(number, width, height)
        with self._lock:
            if key not in self._grounds:
                self._grounds[key] = ground
                self._room -= width * height
            while self._room < 0:
                (_, old_width, old_height), _ = self._grounds.popitem(last=False)
                self._room += old_width * old_height
        return ground


def paint(number: int, width: int, height: int) -> Ground:
    """Paint the background of a number; smooth where it is small, soft where it is large."""
    scale = min(2.0, _DRAWN_PX / max(width, height))
    size = (max(16, round(width * scale)), max(16, round(height * scale)))
    image = composers.compose(number, size).resize((width, height), Image.Resampling.BICUBIC)
    thumbnail = image.copy()
    thumbnail.thumbnail((512, 512))
    colours = thumbnail.quantize(_GROUND_COLOURS, Image.Quantize.MEDIANCUT)
    indexed = image.quantize(palette=colours, dither=Image.Dither.NONE)
    ground = bytes(colours.getpalette() or ())[: 3 * _GROUND_COLOURS].ljust(3 * _GROUND_COLOURS)
    panel = _panel_palette(composers.palette_of(number))
    return Ground(Image.frombytes("L", image.size, indexed.tobytes()), ground + panel)


def _panel_palette(palette: composers.Palette) -> bytes:
    shades = [
        composers.blend(palette.dark, palette.light, shade / (_SHADES - 1))
        for shade in range(_SHADES)
    ]
    return bytes(level for colour in (palette.bright, *shades) for level in colour)


def _lay_panel(image: Image.Image, picture: Picture) -> None:
    """Paste the panel with the text at the lower edge; a small picture is mostly panel."""
    width, height = image.size
    short = min(width, height)
    margin, padding = short // 20, max(2, short // 28)
    captioned = short >= _CAPTION_FROM_PX
    inner = max(8, width - 2 * (margin + padding))
    room = int(height * (0.5 if captioned else 0.94)) - 2 * padding
    text = lettering.fit(picture.text, inner, room, largest_px=min(64, short // 14))
    small = max(8, text.font_px // 2)
    caption = lettering.fit(picture.caption, inner, small * 2, largest_px=small)
    total = text.height + (caption.height + padding // 2 if captioned else 0)
    size = (width - 2 * margin, min(height, total + 2 * padding))
    panel = lettering.draw(text, size, (padding, padding))
    if captioned:
        below = lettering.draw(caption, size, (padding, padding * 3 // 2 + text.height))
        panel.paste(below.point([level * 3 // 5 for level in range(256)]), mask=below)
    corner = (margin, max(0, height - margin - size[1]))
    image.paste(panel.point(_INKING), corner)
    stripe = max(1, short // 128)
    image.paste(_ACCENT, (corner[0], corner[1], corner[0] + size[0], corner[1] + stripe))


def _encoded(image: Image.Image, format_name: str) -> bytes:
    out = io.BytesIO()
    if format_name in ("jpeg", "webp"):
        image = image.convert("RGB")
    image.save(out, format_name.upper(), **_ENCODING[format_name])
    return out.getvalue()


@functools.cache
def easel() -> Easel:
    """The process's easel: simulators share their backgrounds."""
    return Easel()
