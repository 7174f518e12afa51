"""Backgrounds: a few compositions, each in any palette, in RGB at any size."""

import math
import random
from collections.abc import Callable
from itertools import pairwise
from typing import TypeAlias

import msgspec
from PIL import Image, ImageDraw, ImageOps

Colour: TypeAlias = tuple[int, int, int]


class Palette(msgspec.Struct, frozen=True):
    """Five colours from the darkest to the lightest; the panel of a picture takes both ends."""

    dark: Colour
    deep: Colour
    middle: Colour
    bright: Colour
    light: Colour

    def at(self, share: float) -> Colour:
        """The colour between dark (0) and light (1)."""
        stops = (self.dark, self.deep, self.middle, self.bright, self.light)
        place = min(max(share, 0.0), 1.0) * (len(stops) - 1)
        lower = min(int(place), len(stops) - 2)
        return blend(stops[lower], stops[lower + 1], place - lower)


def _palette(*codes: str) -> Palette:
    colours = [(int(code[:2], 16), int(code[2:4], 16), int(code[4:], 16)) for code in codes]
    return Palette(*colours)


PALETTES = (
    _palette("1d2440", "52396b", "c8506a", "f59a6e", "ffe3b8"),  # dusk
    _palette("0c2733", "14566a", "2f93a0", "8fd3c1", "f3f7e4"),  # lagoon
    _palette("1f2a1c", "40603a", "7fa05a", "cfd58d", "fbf6df"),  # meadow
    _palette("2b1b22", "6e2f35", "c0563b", "eba851", "fdf0cf"),  # embers
    _palette("151b33", "2f3f86", "6a78d1", "b7b4ee", "f6f0ff"),  # iris
    _palette("232323", "4e4a4d", "8e8580", "d3c6b5", "f8f1e5"),  # clay
    _palette("10222e", "1f4e5f", "e06b4a", "f4b860", "fbf3dc"),  # harbour
    _palette("2a1633", "7a2c6d", "d6568a", "f7a8a0", "fff0e2"),  # orchid
    _palette("0f2b26", "1f6f5c", "57b48a", "f2c462", "fdf6dd"),  # parrot
    _palette("1a2233", "3b5875", "8fb0c6", "d9e4ea", "ffffff"),  # frost
)


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """The colour a share of the way from one to the other."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def compose(number: int, size: tuple[int, int]) -> Image.Image:
    """The background of a number below `COUNT`, the same for all time."""
    dice = random.Random(number)  # noqa: S311 - a picture, not a secret
    return COMPOSERS[number % len(COMPOSERS)](palette_of(number), size, dice)


def palette_of(number: int) -> Palette:
    """The palette of the background of a number."""
    return PALETTES[number // len(COMPOSERS) % len(PALETTES)]


def hills(palette: Palette, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Layered hills before a low sun."""
    width, height = size
    image = _sky(size, palette.at(0.55), palette.light)
    _sun(image, palette, (width * dice.uniform(0.2, 0.8), height * dice.uniform(0.22, 0.38)))
    pen = ImageDraw.Draw(image)
    layers = 6
    for layer in range(layers):
        crest = 0.36 + 0.1 * layer
        line = _rolling(size, dice, crest=crest, swing=0.05, humps=1.6)
        pen.polygon(line, fill=palette.at(0.62 - 0.12 * layer))
    return image


def waves(palette: Palette, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Rows of swell under a moon."""
    width, height = size
    image = _sky(size, palette.dark, palette.middle)
    _sun(image, palette, (width * dice.uniform(0.25, 0.75), height * 0.18))
    pen = ImageDraw.Draw(image)
    rows = 12
    for row in range(rows):
        crest = 0.3 + 0.72 * row / rows
        line = _rolling(size, dice, crest=crest, swing=0.02, humps=3.5)
        pen.polygon(line, fill=palette.at(0.85 - 0.75 * row / rows + 0.08 * (row % 2)))
    return image


def peaks(palette: Palette, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Jagged ranges under stars."""
    width, height = size
    image = _sky(size, palette.dark, palette.at(0.6))
    pen = ImageDraw.Draw(image)
    for _ in range(90):
        x, y = dice.uniform(0, width), dice.uniform(0, height * 0.5)
        reach = min(size) * dice.choice((0.002, 0.003, 0.005))
        pen.ellipse((x - reach, y - reach, x + reach, y + reach), fill=palette.light)
    for layer in range(4):
        base, rise = height * (0.5 + 0.15 * layer), height * (0.3 - 0.05 * layer)
        line = _jagged(dice, 6)
        step = width / (len(line) - 1)
        points = [(index * step, base - rise * y) for index, y in enumerate(line)]
        pen.polygon([(0, height), *points, (width, height)], fill=palette.at(0.72 - 0.2 * layer))
    return image


def tiles(palette: Palette, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """A mosaic of quarter circles."""
    width, height = size
    side = math.ceil(min(size) / 5)
    image = Image.new("RGB", size)
    shades = (palette.dark, palette.deep, palette.middle, palette.bright, palette.light)
    for top in range(0, height, side):
        for left in range(0, width, side):
            ground, figure, core = dice.sample(shades, 3)
            corner = dice.choice((0, side)), dice.choice((0, side))
            tile = Image.new("RGB", (side, side), ground)
            pen = ImageDraw.Draw(tile)
            pen.ellipse(_around(corner, side), fill=figure)
            pen.ellipse(_around(corner, side * 0.55), fill=core)
            image.paste(tile, (left, top))
    return image


def rays(palette: Palette, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Rays from a rising disc with rings."""
    width, height = size
    image = Image.new("RGB", size, palette.bright)
    pen = ImageDraw.Draw(image)
    middle = (width * dice.uniform(0.3, 0.7), height * dice.uniform(0.4, 0.6))
    count, turn = dice.choice((18, 24, 30)), dice.uniform(0, 360)
    reach = math.hypot(width, height)
    for ray in range(count):
        start = turn + ray * 360 / count
        shade = palette.at(0.68 + 0.2 * math.sin(ray * 1.9))
        if ray % 2:
            pen.pieslice(_around(middle, reach), start, start + 360 / count, fill=shade)
    for ring in range(6):
        share = 0.1 + 0.16 * ring
        pen.ellipse(_around(middle, min(size) * (0.36 - 0.055 * ring)), fill=palette.at(share))
    return image


def lanterns(palette: Palette, size: tuple[int, int], dice: random.Random) -> Image.Image:
    """Translucent discs that float one over the other."""
    width, height = size
    image = _sky(size, palette.deep, palette.at(0.85))
    pen = ImageDraw.Draw(image, "RGBA")
    for _ in range(26):
        middle = (dice.uniform(0, width), dice.uniform(0, height))
        reach = min(size) * dice.uniform(0.05, 0.24)
        pen.ellipse(_around(middle, reach), fill=(*palette.at(dice.random()), 110))
        pen.ellipse(_around(middle, reach * 0.6), fill=(*palette.at(dice.random()), 70))
    return image


Composer: TypeAlias = Callable[[Palette, tuple[int, int], random.Random], Image.Image]

COMPOSERS: tuple[Composer, ...] = (hills, waves, peaks, tiles, rays, lanterns)
COUNT = len(COMPOSERS) * len(PALETTES)


def _around(middle: tuple[float, float], reach: float) -> tuple[float, float, float, float]:
    x, y = middle
    return x - reach, y - reach, x + reach, y + reach


def _sky(size: tuple[int, int], top: Colour, bottom: Colour) -> Image.Image:
    ramp = Image.linear_gradient("L").resize(size)
    return ImageOps.colorize(ramp, top, bottom)


def _sun(image: Image.Image, palette: Palette, middle: tuple[float, float]) -> None:
    """A disc in its glow."""
    reach = min(image.size) // 2
    glow = ImageOps.invert(Image.radial_gradient("L")).resize((2 * reach, 2 * reach))
    glow = glow.point([max(0, level - 75) * 4 // 5 for level in range(256)])
    corner = (int(middle[0] - reach), int(middle[1] - reach))
    image.paste(palette.light, (*corner, corner[0] + 2 * reach, corner[1] + 2 * reach), glow)
    ImageDraw.Draw(image).ellipse(_around(middle, reach * 0.22), fill=palette.light)


def _rolling(
    size: tuple[int, int], dice: random.Random, *, crest: float, swing: float, humps: float
) -> list[tuple[float, float]]:
    """Everything below a rolling line; `crest` and `swing` are shares of the height."""
    width, height = size
    one, two = dice.uniform(0, math.tau), dice.uniform(0, math.tau)
    turns = math.tau * humps * dice.uniform(0.8, 1.2) / width
    line = [
        (x, math.sin(x * turns + one) + 0.5 * math.sin(x * turns * 2.3 + two))
        for x in range(0, width + 8, 4)
    ]
    return [(0, height), *((x, height * (crest + swing * y)) for x, y in line), (width, height)]


def _jagged(dice: random.Random, depth: int) -> list[float]:
    """Heights between about 0 and 1 by displacing midpoints."""
    line = [dice.uniform(0.2, 0.8), dice.uniform(0.2, 0.8)]
    swing = 0.5
    for _ in range(depth):
        halves = [(a + b) / 2 + dice.uniform(-swing, swing) for a, b in pairwise(line)]
        line = [*(y for pair in zip(line[:-1], halves, strict=True) for y in pair), line[-1]]
        swing *= 0.5
    return line
