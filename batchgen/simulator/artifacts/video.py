"""Short videos that play: WebM (Matroska) with one VP8 key frame per image.

A lossy WebP file is a VP8 key frame in a container (RFC 9649, 2.5), so Pillow's encoder is
enough. Elements of the container: https://www.matroska.org/technical/elements.html
"""

import struct
from typing import ClassVar

import msgspec

from batchgen.simulator.artifacts.images import ImageFile

_FRAMES_PER_SECOND = 2
_MAX_FRAMES = 20
_EBML, _SEGMENT, _INFO, _TRACKS, _CLUSTER = (
    0x1A45DFA3, 0x18538067, 0x1549A966, 0x1654AE6B, 0x1F43B675,
)  # fmt: skip
_KEY_FRAME = 0x80
_FRAME_MS = 1000 // _FRAMES_PER_SECOND


class VideoFile(msgspec.Struct, frozen=True):
    """Everything that determines the bytes of a video; see `ImageFile`."""

    media_type: ClassVar[str] = "video/webm"
    width: int
    height: int
    seconds: int
    look: int
    text: str
    caption: str
    format: str = "webm"

    def render(self) -> bytes:
        """Return the whole file: two images per second, at most ten seconds."""
        count = max(2, min(_MAX_FRAMES, self.seconds * _FRAMES_PER_SECOND))
        blocks = [_block(index, _frame(self, index)) for index in range(count)]
        info = _element(
            _INFO,
            _number(0x2AD7B1, 1_000_000),  # a tick is a millisecond
            _element(0x4489, struct.pack(">d", count * _FRAME_MS)),
            _element(0x4D80, b"batchgen simulator"),
            _element(0x5741, b"batchgen simulator"),
        )
        size = _element(0xE0, _number(0xB0, self.width), _number(0xBA, self.height))
        track = _element(
            0xAE,
            _number(0xD7, 1),
            _number(0x73C5, 1),
            _number(0x83, 1),  # video
            _number(0x23E383, _FRAME_MS * 1_000_000),
            _element(0x86, b"V_VP8"),
            size,
        )
        cluster = _element(_CLUSTER, _number(0xE7, 0), *blocks)
        return _header() + _element(_SEGMENT, info, _element(_TRACKS, track), cluster)


def _frame(video: VideoFile, index: int) -> bytes:
    """Return one VP8 key frame, taken from its WebP container."""
    caption = f"{video.caption}  {index / _FRAMES_PER_SECOND:.1f} s"
    image = ImageFile(video.width, video.height, "webp", video.look, video.text, caption)
    data = image.render()
    at = data.index(b"VP8 ")
    (length,) = struct.unpack_from("<I", data, at + 4)
    return data[at + 8 : at + 8 + length]


def _header() -> bytes:
    return _element(
        _EBML,
        _number(0x4286, 1),
        _number(0x42F7, 1),
        _number(0x42F2, 4),
        _number(0x42F3, 8),
        _element(0x4282, b"webm"),
        _number(0x4287, 2),
        _number(0x4285, 2),
    )


def _block(index: int, frame: bytes) -> bytes:
    return _element(0xA3, struct.pack(">BhB", 0x81, index * _FRAME_MS, _KEY_FRAME), frame)


def _number(name: int, value: int) -> bytes:
    return _element(name, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _element(name: int, *parts: bytes) -> bytes:
    length = sum(map(len, parts))
    size = (length | 1 << 56).to_bytes(8)  # eight bytes hold any length
    return b"".join([name.to_bytes((name.bit_length() + 7) // 8), size, *parts])
