"""Decode one base64 string of a reply, chunk by chunk, into a sink."""

import binascii
import json
import re

import pybase64

from batchgen.types import PayloadSink, Spooled

_BLANKS = b" \t\r\n"
_HALF_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_PARTIAL_GROUP = re.compile(rb"[A-Za-z0-9+/]{0,3}|[A-Za-z0-9+/]{2}=")
_STANDARD = re.compile(rb"[+/]")
_URLSAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_JUNK = re.compile(rb"[^A-Za-z0-9+/=_ \t\r\n-]")


class PayloadError(ValueError):
    """A reply that cannot be decoded, or is too large; the message is for people."""


class BrokenBase64Error(PayloadError):
    """A string that is not base64; the rest of its reply can be read."""


class Base64Text:
    """Decodes one base64 string, chunk by chunk, into a sink.

    Both alphabets are accepted, but not in one string. Blanks are skipped (MIME breaks lines), and
    padding may be missing at the end. Everything else is a BrokenBase64Error, never dropped.
    """

    def __init__(self, sink: PayloadSink, *, name: str, max_bytes: int) -> None:
        self.sink = sink
        self._name = name
        self._max_bytes = max_bytes
        self._read_bytes = 0
        self._decoded_bytes = 0
        self._partial_group = b""
        self._is_padded = False
        self._is_standard = False
        self._is_urlsafe = False

    def write(self, chunk: bytes | memoryview) -> None:
        """Decode whole groups of four characters and keep the rest for the next chunk."""
        if not self._decode(chunk) and not self._decode(self._cleaned(bytes(chunk))):
            junk = _JUNK.search(chunk) or re.search(rb"=", chunk)
            raise self._invalid(junk.start() if junk else 0)
        self._is_standard = self._is_standard or _STANDARD.search(chunk) is not None
        if self._is_standard and self._is_urlsafe:
            raise BrokenBase64Error(f"{self._name} mixes both base64 alphabets: + or / and - or _")
        self._read_bytes += len(chunk)

    def write_escaped(self, chunk: bytes, *, complete: bool) -> int:
        """Write a chunk except half a JSON escape at its end; return the length written."""
        half = _HALF_ESCAPE.search(chunk)
        end = half.start() if half else len(chunk)
        text = unescaped(chunk[:end])
        if text is None or (half and complete):
            raise self._invalid(chunk.find(b"\\"))
        self.write(text.encode("latin-1", "replace"))
        return end

    def close(self) -> Spooled:
        """Finish the string and return its payload. Raises PayloadError if it is cut off."""
        if len(self._partial_group) == 1:
            raise BrokenBase64Error(f"base64 ends in the middle of {self._name}")
        if self._partial_group:
            self._emit(pybase64.b64decode(self._partial_group.ljust(4, b"=")))
        return self.sink.close()

    def _decode(self, chunk: bytes | memoryview) -> bool:
        """Decode a chunk of the standard alphabet; return False, without effect, if it is not."""
        text = memoryview(b"".join((self._partial_group, chunk)) if self._partial_group else chunk)
        cut = len(text) % 4
        whole, rest = text[: len(text) - cut], bytes(text[len(text) - cut :])
        if _PARTIAL_GROUP.fullmatch(rest) is None or (self._is_padded and text):
            return False
        try:
            decoded = pybase64.b64decode(whole, validate=True)
        except binascii.Error:
            return False
        self._emit(decoded)
        self._partial_group = rest
        self._is_padded = self._is_padded or bytes(whole[-1:]) == b"="
        return True

    def _cleaned(self, chunk: bytes) -> bytes:
        self._is_urlsafe = self._is_urlsafe or b"-" in chunk or b"_" in chunk
        return chunk.translate(_URLSAFE_TO_STANDARD, _BLANKS)

    def _emit(self, decoded: bytes) -> None:
        self._decoded_bytes += len(decoded)
        if self._decoded_bytes > self._max_bytes:
            limit_mb = self._max_bytes / 1_000_000
            raise PayloadError(f"the payload in {self._name} is over {limit_mb:g} MB")
        if decoded:
            self.sink.write(decoded)

    def _invalid(self, offset: int) -> BrokenBase64Error:
        return BrokenBase64Error(
            f"invalid base64 at byte {self._read_bytes + offset} of {self._name}"
        )


def unescaped(body: bytes) -> str | None:
    """Return a string's text, one character per unescaped byte; None for an invalid escape."""
    if b"\\" not in body:
        return body.decode("latin-1")
    try:
        text: str = json.loads(f'"{body.decode("latin-1")}"', strict=False)
    except ValueError:
        return None
    return text
