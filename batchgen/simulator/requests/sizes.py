"""The image size of a request, in any of the vendor's notations."""

import re
from collections.abc import Mapping

from batchgen.simulator.requests.schema import Json

_PRESETS = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
}
_FALLBACK = (1024, 1024)
_DEFAULT_SIDES = (1024, 768)  # for a side that an `image_size` object leaves out
_GRID = 16
_MIN_PX, _MAX_PX = 16, 4096
_PIXELS = re.compile(r"([0-9]{1,5})x([0-9]{1,5})", re.ASCII)
_RATIO = re.compile(r"([0-9]+(?:\.[0-9]+)?):([0-9]+(?:\.[0-9]+)?)", re.ASCII)
_SCALE = re.compile(r"([0-9](?:\.[0-9])?)k", re.ASCII | re.IGNORECASE)


def size_of(params: Mapping[str, Json]) -> tuple[int, int]:
    """Return width and height for parameters with their defaults; 1024x1024 if unreadable."""
    for name in ("image_size", "size"):
        if (size := _named(params.get(name))) is not None:
            return size
    area = _area(params.get("resolution"))
    width, height = _ratio(params.get("aspect_ratio"))
    if isinstance(longest := params.get("max_resolution"), int):
        return _scaled(longest / max(width, height), width, height)
    return _scaled((area / (width * height)) ** 0.5, width, height)


def _named(value: Json) -> tuple[int, int] | None:
    match value:
        case dict():
            width, height = value.get("width"), value.get("height")
            return _clamped(_whole(width, _DEFAULT_SIDES[0]), _whole(height, _DEFAULT_SIDES[1]))
        case str() if value in _PRESETS:
            return _PRESETS[value]
        case str() if match := _PIXELS.fullmatch(value):
            return _clamped(int(match[1]), int(match[2]))
        case str() if match := _SCALE.fullmatch(value):
            side = round(1024 * float(match[1]))
            return _clamped(side, side)
        case str():  # `adaptive`, `auto`
            return _FALLBACK
        case _:
            return None


def _whole(value: Json, default: int) -> int:
    return int(value) if isinstance(value, int | float) else default


def _clamped(width: int, height: int) -> tuple[int, int]:
    return min(max(width, _MIN_PX), _MAX_PX), min(max(height, _MIN_PX), _MAX_PX)


def _area(resolution: Json) -> float:
    """Return the pixels of a resolution such as `2K`: (2 * 1024) squared."""
    match = _SCALE.fullmatch(resolution) if isinstance(resolution, str) else None
    return (1024 * (float(match[1]) if match else 1)) ** 2


def _ratio(aspect: Json) -> tuple[float, float]:
    match = _RATIO.fullmatch(aspect) if isinstance(aspect, str) else None
    width, height = (float(match[1]), float(match[2])) if match else (1.0, 1.0)
    return (width, height) if width and height else (1.0, 1.0)


def _scaled(factor: float, width: float, height: float) -> tuple[int, int]:
    """Return both sides rounded to the 16 pixel grid of image models."""
    return _clamped(round(width * factor / _GRID) * _GRID, round(height * factor / _GRID) * _GRID)
