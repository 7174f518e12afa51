"""Detect a file that ends before its end: by its last bytes, else by its structure.

Bytes behind the end do not matter: some programs append a few, phones append a video. Each check
reads a bounded part of the file.
"""

import struct
from collections.abc import Callable, Iterator, Mapping
from typing import BinaryIO

from batchgen.media.formats import (
    AVIF,
    GIF,
    GLB,
    HEIC,
    JPEG,
    M4A,
    MP4,
    PNG,
    QUICKTIME,
    SVG,
    WAV,
    WEBP,
    MediaType,
)

_TAIL_BYTES = 64 * 1024
_PARTS = 65_536  # chunks, segments or boxes of one file
_BLOCK_BYTES = 256 * 1024
_PNG_END = b"IEND"
_JPEG_END = b"\xff\xd9"
_JPEG_BARE = frozenset({0x01, *range(0xD0, 0xD9)})  # markers without a segment
_JPEG_SCAN = 0xDA
_MARKER = 0xFF
_GIF_END = b"\0;"  # the end of the last block, and the trailer
_GIF_IMAGE, _GIF_EXTENSION, _GIF_TRAILER = 0x2C, 0x21, 0x3B
_RIFF_HEADER = 8
_RIFF_UNKNOWN = 0x7FFF0000  # and above: written by programs that cannot go back to the header
_BOXES = frozenset(
    {
        *(b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"meta", b"free", b"skip", b"wide"),
        *(b"uuid", b"sidx", b"ssix", b"mfra", b"pdin", b"prft", b"emsg", b"udta", b"idat"),
    }
)
# Some writers count a byte of padding that they do not write, or the header itself.
_WEBP_SLACK, _WAV_SLACK = 1, 8


def cut_reason(file: BinaryIO, media: MediaType, size_bytes: int) -> str:
    """Return why a file is incomplete, for people; empty if it is whole or cannot be judged.

    file: seekable.
    """
    check = _CHECKS.get(media)
    try:
        return check(file, size_bytes) if check is not None else ""
    except (struct.error, ValueError, OverflowError):
        return f"the {media.extension.upper()} ends in the middle"


def _read_at(file: BinaryIO, offset: int, count: int) -> bytes:
    file.seek(max(offset, 0))
    return file.read(count)


def _unpack_at(file: BinaryIO, offset: int, layout: str) -> tuple[int, ...]:
    """Unpack integers at an offset; raise struct.error if the file ends before."""
    return struct.unpack(layout, _read_at(file, offset, struct.calcsize(layout)))


def _png(file: BinaryIO, size: int) -> str:
    if _read_at(file, size - 8, 4) == _PNG_END:
        return ""
    at = 8
    for _ in range(_PARTS):
        header = _read_at(file, at, 8)
        if header[4:] == _PNG_END:
            return ""
        if len(header) < 8 or not header[4:].isalpha():  # noqa: PLR2004  # a chunk's header
            break
        at += 12 + int.from_bytes(header[:4])
    is_whole = _PNG_END in _read_at(file, size - _TAIL_BYTES, _TAIL_BYTES)
    return "" if is_whole else "a PNG without its end (IEND)"


def _jpeg(file: BinaryIO, size: int) -> str:
    """Look for the end behind the first scan: a thumbnail before it has an end of its own."""
    at, marker = 2, 0
    for _ in range(_PARTS):
        prefix, marker = _unpack_at(file, at, ">BB")
        if prefix != _MARKER or marker == _JPEG_SCAN:
            break
        if marker == _MARKER:  # padding
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        else:
            at += 2 + _unpack_at(file, at + 2, ">H")[0]
    return "" if _has_end(file, at, size) else "a JPEG without its end (EOI)"


def _has_end(file: BinaryIO, start: int, size: int) -> bool:
    """Return whether a JPEG's end is behind `start`, searched from the end of the file."""
    end = size
    while end > start:
        first = max(start, end - _BLOCK_BYTES)
        if _JPEG_END in _read_at(file, first, end - first):
            return True
        end = first + 1 if first > start else start
    return False


def _gif(file: BinaryIO, size: int) -> str:
    if _read_at(file, size - len(_GIF_END), len(_GIF_END)) == _GIF_END:
        return ""
    flags = _unpack_at(file, 10, ">B")[0]
    at = 13 + _colour_table_bytes(flags)
    for _ in range(_PARTS):
        kind = _unpack_at(file, at, ">B")[0]
        if kind == _GIF_TRAILER:
            return ""
        if kind == _GIF_IMAGE:
            at += 11 + _colour_table_bytes(_unpack_at(file, at + 9, ">B")[0])
        elif kind == _GIF_EXTENSION:
            at += 2
        else:
            break
        while length := _unpack_at(file, at, ">B")[0]:
            at += 1 + length
        at += 1
    return "a GIF without its end"


def _colour_table_bytes(flags: int) -> int:
    return 3 * 2 ** ((flags & 7) + 1) if flags & 0x80 else 0


def _webp(file: BinaryIO, size: int) -> str:
    return _riff(file, size, "WebP", _WEBP_SLACK)


def _wav(file: BinaryIO, size: int) -> str:
    return _riff(file, size, "WAV", _WAV_SLACK)


def _riff(file: BinaryIO, size: int, name: str, slack: int) -> str:
    stated = _unpack_at(file, 4, "<I")[0]
    if stated >= _RIFF_UNKNOWN or size + slack >= _RIFF_HEADER + stated:
        return ""
    return f"a {name} of {size} bytes that says it has {_RIFF_HEADER + stated}"


def _glb(file: BinaryIO, size: int) -> str:
    stated = _unpack_at(file, 8, "<I")[0]
    return "" if size >= stated else f"a GLB of {size} bytes that says it has {stated}"


def _boxes(file: BinaryIO, size: int) -> str:
    """Walk the boxes of an ISO file (ISO/IEC 14496-12)."""
    boxes = dict(_box_ends(file, size))
    for kind, end in boxes.items():
        if end > size:
            return f"a file of {size} bytes whose part `{kind}` ends at byte {end}"
    is_header = boxes.keys() == {"ftyp"} and not _has_more(boxes, size)
    return "a file that ends after its header" if is_header else ""


def _has_more(boxes: Mapping[str, int], size: int) -> bool:
    """Return whether something follows the boxes that is neither a box nor the head of one."""
    return size - max(boxes.values(), default=0) >= 8  # noqa: PLR2004  # a box's head


def _heif(file: BinaryIO, size: int) -> str:
    """Check that the images are there: after their description, or inside of it."""
    boxes = dict(_box_ends(file, size))
    reason = _boxes(file, size)
    if reason or "mdat" in boxes or _has_more(boxes, size):
        return reason
    return "" if b"idat" in _read_at(file, 0, _BLOCK_BYTES) else "an image without its data"


def _box_ends(file: BinaryIO, size: int) -> Iterator[tuple[str, int]]:
    at = 0
    for _ in range(_PARTS):
        if at >= size:
            return
        header = _read_at(file, at, 16)
        kind, length, shortest = header[4:8], int.from_bytes(header[:4]), 8
        if length == 1:
            length, shortest = int.from_bytes(header[8:16]), 16
        if kind not in _BOXES:  # what is no box is behind the end
            return
        if length == 0:  # to the end
            yield kind.decode("latin-1"), size
        if length < shortest:
            return
        at += length
        yield kind.decode("latin-1"), at


def _svg(file: BinaryIO, size: int) -> str:
    tail = _read_at(file, size - _TAIL_BYTES, _TAIL_BYTES).replace(b"\0", b"")  # of UTF-16
    is_whole = b"svg>" in tail or tail.rstrip().endswith((b"/>", b"-->"))
    return "" if is_whole else "an SVG without its end"


_CHECKS: dict[MediaType, Callable[[BinaryIO, int], str]] = {
    PNG: _png,
    JPEG: _jpeg,
    GIF: _gif,
    WEBP: _webp,
    WAV: _wav,
    GLB: _glb,
    SVG: _svg,
    **dict.fromkeys((MP4, QUICKTIME, M4A), _boxes),
    **dict.fromkeys((AVIF, HEIC), _heif),
}
