"""What the headers of a JPEG show about the memory that its decoder takes."""

import struct
from typing import BinaryIO, NamedTuple

from batchgen.media.exif import MAX_ENTRIES, entry_count

_MAX_SEGMENTS = 4096
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ONE_PASS = frozenset({0xC0, 0xC1})
_BARE = frozenset({0x01, 0xFF, *range(0xD0, 0xD8)})
_APP1, _APP2, _SCAN, _END = 0xE1, 0xE2, 0xDA, 0xD9
_COEFFICIENT_BYTES = 2
_DIRECTORIES = ((_APP1, b"Exif\0\0"), (_APP2, b"MPF\0"))


class JpegHeader(NamedTuple):
    """coefficient_bytes: what the decoder keeps of a picture of several scans, else 0.

    has_odd_metadata: whether the directories in it are larger than any camera writes them. Pillow
    copies the value of each entry, and many entries may share a large value.
    """

    coefficient_bytes: int
    has_odd_metadata: bool


class _Frame(NamedTuple):
    marker: int
    components: int
    coefficient_bytes: int


def read_jpeg_header(file: BinaryIO) -> JpegHeader:
    """Read the segments up to the first scan (ITU T.81, annex B). Raise ValueError if damaged."""
    frame: _Frame | None = None
    directories = 0
    is_odd = False
    at = 2
    for _ in range(_MAX_SEGMENTS):
        marker, size = _segment(file, at)
        if marker in _BARE:
            at += 1 if marker == 0xFF else 2  # noqa: PLR2004  # a byte of padding
            continue
        if marker in _FRAMES:
            frame = _frame(marker, file.read(size))
        elif marker == _SCAN:
            if frame is None:
                break
            is_whole = frame.marker in _ONE_PASS and file.read(1)[0] == frame.components
            return JpegHeader(0 if is_whole else frame.coefficient_bytes, is_odd)
        elif marker in (_APP1, _APP2):
            data = file.read(size)
            for kind, prefix in _DIRECTORIES:
                if marker == kind and data.startswith(prefix):
                    directories += 1
                    is_odd |= entry_count(data.removeprefix(prefix)) > MAX_ENTRIES
            is_odd |= directories > len(_DIRECTORIES)
        at += 4 + size
    raise ValueError("a JPEG without a picture")


def _segment(file: BinaryIO, at: int) -> tuple[int, int]:
    """Return the marker at an offset, and the size of what follows it."""
    file.seek(at)
    head = file.read(4)
    if len(head) < 2 or head[0] != 0xFF or head[1] == _END:  # noqa: PLR2004  # a marker
        raise ValueError("a JPEG without a picture")
    size = struct.unpack(">H", head[2:])[0] if len(head) == 4 else 2  # noqa: PLR2004  # its length
    return head[1], max(size - 2, 0)


def _frame(marker: int, data: bytes) -> _Frame:
    try:
        _, height, width, count = struct.unpack_from(">BHHB", data)
        factors = [divmod(data[7 + 3 * n], 16) for n in range(count)]
    except (struct.error, IndexError) as error:
        raise ValueError("a damaged JPEG") from error
    blocks = sum(across * down for across, down in factors)
    largest = max((a for a, _ in factors), default=1) * max((d for _, d in factors), default=1)
    samples = (width + 64) * (height + 64) * blocks // max(largest, 1)
    return _Frame(marker, count, _COEFFICIENT_BYTES * samples)
