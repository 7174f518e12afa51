"""Images of noise, which do not compress, and replies with them."""

import base64
import json
import random
import struct
import zlib

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_RGB = 2


def noise_png(side: int) -> bytes:
    """Return a square PNG of about 3 bytes per pixel, always the same for a side in pixels."""
    noise = random.Random(side)  # noqa: S311  # an image, not a secret
    lines = b"".join(b"\0" + noise.randbytes(3 * side) for _ in range(side))
    header = struct.pack(">IIBBBBB", side, side, 8, _RGB, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(lines, 1)), (b"IEND", b""))
    return _SIGNATURE + b"".join(_chunk(kind, data) for kind, data in chunks)


def b64_reply(image: bytes) -> bytes:
    """Return a reply of the images API with the image in base64."""
    return _reply({"b64_json": base64.b64encode(image).decode()})


def url_reply(url: str) -> bytes:
    """Return a reply of the images API with the URL of the image."""
    return _reply({"url": url})


def _reply(item: dict[str, str]) -> bytes:
    return json.dumps({"created": 1_700_000_000, "data": [item]}).encode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
