"""The texts that the replies of a case may contain: pictures, addresses, times, fillers."""

import base64
import json
import re
import struct
import time
import zlib
from email.utils import formatdate
from typing import Any

_PLACEHOLDER = re.compile(r"<([^<>\n]{1,40})>")
_JPEG = bytes.fromhex(
    "ffd8ffe000104a46494600010100000100010000ffdb004300030202020202030202020303030304060404040404"
    "080606050609080a0a090809090a0c0f0c0a0b0e0b09090d110d0e0f101011100a0c12131210130f101010ffc000"
    "0b080001000101011100ffc40014000100000000000000000000000000000009ffc4001410010000000000000000"
    "0000000000000000ffda0008010100003f0054dfffd9"
)
_VP8L = bytes.fromhex("2f0000000010071011118888fe0700")


def picture(prompt: str) -> bytes:
    """Return a whole PNG of 8 x 8 pixels whose bytes depend on the prompt."""
    color = zlib.crc32(prompt.encode()).to_bytes(4, "big")[:3]
    rows = b"".join(b"\0" + color * 8 for _ in range(8))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        (b"tEXt", b"Comment\0" + prompt.encode("latin-1", "replace")),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(*chunk) for chunk in chunks)


def jpeg() -> bytes:
    """Return a JPEG of one pixel."""
    return _JPEG


def webp() -> bytes:
    """Return a lossless WebP of one pixel."""
    body = b"VP8L" + struct.pack("<I", len(_VP8L)) + _VP8L + b"\0" * (len(_VP8L) % 2)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def video() -> bytes:
    """Return the boxes of an MP4 without a picture."""
    boxes = ((b"ftyp", b"isom\0\0\2\0isomiso2mp41"), (b"free", b""), (b"mdat", b"\0" * 400))
    return b"".join(struct.pack(">I", 8 + len(body)) + kind + body for kind, body in boxes)


def fill(value: Any, texts: dict[str, str]) -> Any:
    """Return a JSON value with the placeholders of its strings replaced."""
    match value:
        case str():
            return _PLACEHOLDER.sub(lambda found: _text(found, texts), value)
        case list():
            return [fill(item, texts) for item in value]
        case dict():
            return {fill(key, texts): fill(item, texts) for key, item in value.items()}
        case _:
            return value


def encoded(data: bytes) -> str:
    """Return bytes as base64."""
    return base64.b64encode(data).decode()


def media_texts(prompt: str) -> dict[str, str]:
    """Return the placeholders for media, as base64."""
    files = {"picture": picture(prompt), "jpeg": jpeg(), "webp": webp()}
    whole = {name: encoded(data) for name, data in files.items()}
    cut = {f"cut {name}": encoded(data[: len(data) * 2 // 3]) for name, data in files.items()}
    more = {f"{name} and more": encoded(data + b"\n") for name, data in files.items()}
    return {**whole, **cut, **more}


def as_json(value: Any) -> bytes:
    """Return a value as a JSON body."""
    return json.dumps(value).encode()


def _text(found: re.Match[str], texts: dict[str, str]) -> str:
    name = found[1]
    if name in texts:
        return texts[name]
    word, _, number = name.partition("+")
    moment = time.time() + float(number) if number else 0.0
    match word:
        case "epoch":
            return f"{moment:.0f}"
        case "epoch_ms":
            return f"{moment * 1000:.0f}"
        case "date":
            return formatdate(moment, usegmt=True)
        case _ if name.startswith("filler "):
            return "x" * int(name.removeprefix("filler "))
        case _:
            return found[0]


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
