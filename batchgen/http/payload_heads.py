"""Recognize by its first bytes whether a string of a reply is base64 or a `data:` URL."""

import re

import pybase64

from batchgen.http.base64_text import unescaped
from batchgen.media.formats import sniff

# Keys of base64 whatever its bytes are: they may be of a type without a signature.
PAYLOAD_KEYS = frozenset(
    {
        *("b64_json", "b64Json", "b64", "base64", "image_base64", "imageBase64", "image_b64"),
        *("base64_image", "bytesBase64Encoded", "audio_base64", "audioContent", "video_base64"),
    }
)
_VECTOR_KEYS = frozenset({"embedding"})  # their base64 may look like a file's by chance
KEYS = PAYLOAD_KEYS | _VECTOR_KEYS
HEAD_BYTES = 1536  # of a value, as written; they decide

_HEAD_CHARACTERS = 256
_MIN_FILE_CHARACTERS = 48
# The first characters of `data:`, and of the base64 of files: PNG, JPEG, GIF, RIFF (WebP, WAV),
# ISO media (MP4, AVIF, HEIC), OGG, FLAC, glTF, PDF, Matroska, ID3, SVG, XML, TIFF; MPEG audio.
_STRONG = (
    rb"iVBORw0KGg|/9j/|R0lGOD|UklGR|AAAA[A-Za-z0-9+/][GWm2]Z0eX|T2dnUw|ZkxhQ|Z2xURg|JVBERi|GkXfo"
    rb"|SUQz[AB]|PHN2Zy|PD94bW|SUkqA|TU0AK"
)
_WEAK = rb"//[A-Za-z0-9+/]"
STARTS = rb"(?:[dD][aA][tT][aA]:|%s|%s)" % (_STRONG, _WEAK)
FIRST_OF_STARTS = b"dDi/RUATZJGSP"
_FILE = re.compile(_STRONG.decode())
_WEAK_FILE = re.compile(_WEAK.decode())
_STRING_TEXT = re.compile(rb'(?>(?:[^"\\]++|\\.)*)', re.DOTALL)
_DATA_HEAD = re.compile(rb"((?>(?:[^\\,]++|\\(?!u002[cC]).)*))(?:,|\\u002[cC])", re.DOTALL)
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]+={0,2}")
_URLSAFE_TO_STANDARD = str.maketrans("-_", "+/")
_BLANKS = re.compile(r"[ \t\r\n]+")
_ADDRESS = re.compile(r"https?:|\.{0,2}/[^\s]*[.:?%&]", re.IGNORECASE)


def text_end(data: bytes, start: int, limit: int | None = None) -> int:
    """Return the end of a string's text: its closing quote, half an escape, or the data's end.

    limit: an offset at which the text ends at the latest.
    """
    end = len(data) if limit is None else min(limit, len(data))
    quote = data.find(b'"', start, end)
    stop = end if quote < 0 else quote
    if data.find(b"\\", start, stop) < 0:
        return stop
    body = _STRING_TEXT.match(data, start, end)
    return body.end() if body else start


def payload_offset(head: bytes, key: str | None, *, is_closed: bool) -> int | None:
    """Return the offset of the base64 in a value that begins with this; None if no payload.

    head: the value as written in JSON. key: its key, if that is one of KEYS. is_closed: whether
    the head is the whole value.
    """
    text = unescaped(head)
    if not text:
        return None
    if text[:5].lower() == "data:":
        return _data_offset(head)
    if key in PAYLOAD_KEYS:
        is_payload = _may_be_base64(text, is_closed=is_closed)
    else:
        is_payload = key is None and _is_file(_BLANKS.sub("", text), is_closed=is_closed)
    return 0 if is_payload else None


def _data_offset(head: bytes) -> int | None:
    match = _DATA_HEAD.match(head)
    if match is None:
        return None
    url = (unescaped(match[1]) or "").lower()
    return match.end() if url.endswith(";base64") and len(url) < _HEAD_CHARACTERS else None


def _may_be_base64(text: str, *, is_closed: bool) -> bool:
    """Return whether a value under a payload's key is base64, perhaps broken; else it is text."""
    if not is_closed:
        return _ADDRESS.match(text) is None
    return _BASE64.fullmatch(_BLANKS.sub("", text)) is not None


def _is_file(text: str, *, is_closed: bool) -> bool:
    """Return whether a text begins with the base64 of a file's signature."""
    if _WEAK_FILE.match(text):  # two bytes are too few for a short text
        if is_closed or _BASE64.fullmatch(text) is None:
            return False
    elif not _FILE.match(text) or len(text) < _MIN_FILE_CHARACTERS:
        return False
    start = _BASE64.match(text)
    if start is None or start.end() < _MIN_FILE_CHARACTERS:
        return False
    groups = start[0].rstrip("=")[:_HEAD_CHARACTERS].translate(_URLSAFE_TO_STANDARD)
    data = pybase64.b64decode(groups[: len(groups) // 4 * 4])
    return sniff(data) is not None or b"<svg" in data
