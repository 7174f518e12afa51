"""Read pictures within a bound of memory: their headers decide before a pixel is unpacked.

A file of half a megabyte can unpack to gigabytes. What a picture takes follows from its width and
height, from the bytes that its decoder and each later step hold for a pixel, and from the size of
its file. The figures are measured peaks of Pillow 12 with libwebp 1.5. Files whose headers do not
show what their decoder will do are unpacked by a process of their own (`sandbox`).
"""

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, NamedTuple

from PIL import Image

from batchgen.media.exif import orientation
from batchgen.media.formats import (
    AVIF,
    BMP,
    GIF,
    JPEG,
    PNG,
    TIFF,
    WEBP,
    MediaType,
    Size,
    dimensions,
    sniff,
)
from batchgen.media.jpeg import JpegHeader, read_jpeg_header
from batchgen.media.sandbox import unpacked_png

MAX_BYTES = 256 * 1024**2  # of all pictures that are unpacked at the same time in this process
_MIN_BYTES = 8 * 1024**2  # a GIF may be larger than its header shows
_HEAD_BYTES = 4096
_FORMATS = {PNG: "PNG", JPEG: "JPEG", WEBP: "WEBP", GIF: "GIF", BMP: "BMP"}
_SANDBOXED = frozenset({AVIF, TIFF})
_STRIP_BYTES = 16 * 1024**2
_REDUCING_GAP = 2  # as Pillow's `thumbnail` reduces before it scales
_MAX_SCALE = 8  # JPEG's decoder can reduce by 2, 4 and 8
# Bytes per pixel. WebP's decoder has two canvases and returns all bytes of a picture at once.
_PLAIN_BYTES = 4  # unpacked as RGB or RGBA
_ANY_BYTES = 9  # unpacked in another mode, then converted or turned: both pictures
_WEBP_BYTES = 20
_RESIZED_BYTES = 8  # of the smaller picture, while it is made
# While a picture is written, itself included: opaque, and with transparency.
_WRITTEN_BYTES = {"webp": (26, 41), "jpeg": (9, 9), "png": (9, 10), "avif": (36, 40)}
_LEAN_WEBP_BYTES = 15  # of an opaque picture with method 2, which keeps no tokens
_OPAQUE = (255, 255)
_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1024**2
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _return_freed_memory() -> None:
    """Have glibc return large blocks to the system when they are freed; see mallopt(3).

    It would keep the blocks of each thread, which add up to several times what is in use.
    """
    with suppress(AttributeError, OSError):  # another C library
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)


_return_freed_memory()


class HeavyPictureError(Exception):
    """A picture takes more memory than there is for it; the message is for people."""


class Room:
    """An amount of memory of which threads take parts; each waits until its part is free."""

    def __init__(self, size_bytes: int) -> None:
        self.size_bytes = size_bytes
        self._free = size_bytes
        self._changed = threading.Condition()

    @contextmanager
    def reserve(self, size_bytes: int) -> Iterator[None]:
        """Take a part until the block ends; it must not be larger than the whole."""
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size_bytes)
            self._free -= size_bytes
        try:
            yield
        finally:
            with self._changed:
                self._free += size_bytes
                self._changed.notify_all()


ROOM = Room(MAX_BYTES)


class Encoding(NamedTuple):
    """How a copy is written: its format (webp, jpeg, png, avif), and a quality from 1 to 100."""

    format: str
    quality: int


class _Picture(NamedTuple):
    """A picture as far as its header shows it. side: the longer side that is wanted, in pixels."""

    media: MediaType
    size: Size
    file_bytes: int
    side: int | None
    jpeg: JpegHeader | None

    @property
    def is_sandboxed(self) -> bool:
        return self.media in _SANDBOXED or bool(self.jpeg and self.jpeg.has_odd_metadata)

    @property
    def pixels(self) -> int:
        """Return how many pixels are unpacked in this process."""
        width, height = self.size
        if self.is_sandboxed and self.side is not None:
            width, height = _fitted(self.size, self.side)
        elif self.jpeg is not None and self.side is not None:
            scale = min(max(min(width, height) // self.side, 1), _MAX_SCALE)
            scale = 1 << scale.bit_length() - 1
            width, height = -(-width // scale), -(-height // scale)
        return width * height

    def needed_bytes(self, pixel_bytes: int) -> int:
        """Return what unpacking takes in this process. pixel_bytes: of each pixel."""
        coefficients = 0 if self.is_sandboxed or self.jpeg is None else self.jpeg.coefficient_bytes
        pixel_bytes = _WEBP_BYTES if self.media == WEBP else pixel_bytes
        resized = self.written_size[0] * self.written_size[1] * _RESIZED_BYTES
        resized = 0 if self.written_size == self.size else resized
        return max(_MIN_BYTES, self.file_bytes + coefficients + self.pixels * pixel_bytes + resized)

    @property
    def written_size(self) -> Size:
        return self.size if self.side is None else _fitted(self.size, self.side)


def thumbnail(path: Path, side: int, room: Room = ROOM) -> Image.Image:
    """Return a picture as RGB or RGBA that fits into a square of `side` pixels.

    Raise HeavyPictureError; OSError, ValueError or SyntaxError for a file that cannot be read.
    """
    with path.open("rb") as file:
        picture = _header(file, path.stat().st_size, side)
        needed = _fitting(picture, room.size_bytes, (0,))
        with room.reserve(needed):
            return _unpacked(file, picture, needed)


def converted(path: Path, encoding: Encoding, max_side: int | None, room: Room = ROOM) -> bytes:
    """Return a picture in another format; max_side: of its longer side, in pixels.

    Raise the errors of `thumbnail`.
    """
    opaque, transparent = _WRITTEN_BYTES[encoding.format]
    least = _LEAN_WEBP_BYTES if encoding.format == "webp" else opaque
    with path.open("rb") as file:
        picture = _header(file, path.stat().st_size, max_side)
        needed = _fitting(picture, room.size_bytes, (transparent, opaque, least))
        with room.reserve(needed):
            return _encoded(_unpacked(file, picture, needed), encoding, needed)


def _header(file: BinaryIO, file_bytes: int, side: int | None) -> _Picture:
    media = sniff(file.read(_HEAD_BYTES))
    size = dimensions(file, media) if media is not None else None
    if media is None or size is None or not (media in _FORMATS or media in _SANDBOXED):
        raise ValueError("not a picture that can be read")
    jpeg = read_jpeg_header(file) if media == JPEG else None
    return _Picture(media, size, file_bytes, side, jpeg)


def _fitting(picture: _Picture, limit_bytes: int, written_bytes: tuple[int, ...]) -> int:
    """Return the bytes to reserve: ample ones, or the least that may be enough.

    written_bytes: of each pixel of the written picture, in the order of preference.
    """
    width, height = picture.written_size
    for pixel_bytes in (_ANY_BYTES, _PLAIN_BYTES):
        for written in written_bytes:
            needed = max(picture.needed_bytes(pixel_bytes), width * height * written)
            if needed <= limit_bytes:
                return needed
    raise _too_heavy(picture.size)


def _unpacked(file: BinaryIO, picture: _Picture, reserved_bytes: int) -> Image.Image:
    """Return an upright picture in RGB or RGBA, of the wanted size."""
    side, image = picture.side, _opened(file, picture)
    factor = 1 if side is None else int(max(image.size) / side / _REDUCING_GAP)
    # A picture with transparency that is hardly reduced is copied to be scaled.
    is_plain = (image.mode == "RGB" and "transparency" not in image.info) or (
        image.mode == "RGBA" and (side is None or factor > 1)
    )
    if image.width * image.height * (_PLAIN_BYTES if is_plain else _ANY_BYTES) > reserved_bytes:
        raise _too_heavy(image.size)  # the header does not show this mode or size
    image.load()
    turn = _TURNS.get(orientation(image.info.get("exif", b"")))
    mode = "RGBA" if image.has_transparency_data else "RGB"
    small: Image.Image = image if image.mode == mode else image.convert(mode)
    if side is not None:
        small = _reduced(small, factor) if factor > 1 else small
        small.thumbnail((side, side))
    if turn is None:
        return small
    if small.width * small.height * _ANY_BYTES > reserved_bytes:
        raise _too_heavy(image.size)
    return small.transpose(turn)


def _opened(file: BinaryIO, picture: _Picture) -> Image.Image:
    """Return a picture that is not unpacked yet, or that another process has unpacked."""
    file.seek(0)
    if picture.is_sandboxed:
        return Image.open(BytesIO(unpacked_png(file, picture.side)), formats=("PNG",))
    image = Image.open(file, formats=(_FORMATS[picture.media],))
    if picture.side is not None:
        image.draft("RGB", (picture.side, picture.side))
    return image


def _reduced(image: Image.Image, factor: int) -> Image.Image:
    """Return a picture with each square of `factor` pixels as one, made strip by strip.

    Pillow would copy a picture with transparency as a whole.
    """
    size = (-(-image.width // factor), -(-image.height // factor))
    reduced = Image.new(image.mode, size)
    rows = max(1, _STRIP_BYTES // (image.width * _PLAIN_BYTES * factor)) * factor
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        reduced.paste(strip.reduce(factor), (0, top // factor))
    return reduced


def _encoded(image: Image.Image, encoding: Encoding, reserved_bytes: int) -> bytes:
    pixels = image.width * image.height
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == _OPAQUE:
        image = image.convert("RGB")
    is_transparent = image.mode == "RGBA"
    if is_transparent and encoding.format == "jpeg":
        white = Image.new("RGB", image.size, "white")
        white.paste(image, mask=image)
        image = white
    needed = pixels * _WRITTEN_BYTES[encoding.format][is_transparent]
    options: dict[str, int] = {"quality": encoding.quality}
    if needed > reserved_bytes and encoding.format == "webp" and not is_transparent:
        options["method"] = 2
    elif needed > reserved_bytes:
        raise _too_heavy(image.size)
    encoded = BytesIO()
    image.save(encoded, encoding.format.upper(), **options)
    return encoded.getvalue()


def _fitted(size: Size, side: int) -> Size:
    """Return a size that fits into a square, with the same proportions."""
    scale = min(1.0, side / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _too_heavy(size: Size) -> HeavyPictureError:
    return HeavyPictureError(f"{size[0]} x {size[1]} pixels take too much memory to unpack")
