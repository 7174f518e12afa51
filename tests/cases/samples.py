"""The texts that the replies of a case may contain: pictures, addresses, times, fillers."""

import base64
import io
import json
import re
import struct
import time
from email.utils import formatdate
from functools import cache
from typing import Any

from PIL import Image, PngImagePlugin

_PLACEHOLDER = re.compile(r"<([^<>\n]{1,40})>")


@cache
def picture(prompt: str) -> bytes:
    """Return a whole PNG of 8 x 8 pixels whose bytes depend on the prompt."""
    notes = PngImagePlugin.PngInfo()
    notes.add_text("Comment", prompt)
    return _encoded_image("PNG", pnginfo=notes)


@cache
def jpeg() -> bytes:
    """Return a JPEG of 8 x 8 pixels."""
    return _encoded_image("JPEG")


@cache
def webp() -> bytes:
    """Return a WebP of 8 x 8 pixels."""
    return _encoded_image("WEBP")


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


def _encoded_image(form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "teal").save(buffer, form, **options)
    return buffer.getvalue()
