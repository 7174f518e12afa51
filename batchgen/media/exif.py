"""The orientation of a picture by its EXIF data, of which only one directory is read."""

import struct

_ORIENTATION = 0x0112
_SHORT = 3
_ENTRY_BYTES = 12
MAX_ENTRIES = 512  # of a directory; cameras write a few dozen


def orientation(exif: bytes) -> int:
    """Return the orientation from 1 (upright) to 8 by EXIF 2.32, 4.6.4; 1 if there is none."""
    data = exif.removeprefix(b"Exif\0\0")
    order = ">" if data[:2] == b"MM" else "<"
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        for entry in range(min(entry_count(data), MAX_ENTRIES)):
            tag, kind = struct.unpack_from(order + "HH", data, at + 2 + entry * _ENTRY_BYTES)
            if (tag, kind) == (_ORIENTATION, _SHORT):
                (value,) = struct.unpack_from(order + "H", data, at + 10 + entry * _ENTRY_BYTES)
                return value if 1 <= value <= 8 else 1  # noqa: PLR2004  # as above
    except struct.error:
        pass
    return 1


def entry_count(data: bytes) -> int:
    """Return the number of entries in the first directory of a TIFF structure; 0 if damaged."""
    order = ">" if data[:2] == b"MM" else "<"
    try:
        (at,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, at)
    except struct.error:
        return 0
    return int(count)
