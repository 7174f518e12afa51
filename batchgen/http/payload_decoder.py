"""Take base64 payloads out of a JSON reply while its bytes arrive.

A large image is never in memory as a whole: its bytes go to a sink as they arrive, and the small
JSON that is left has `batchgen-payload:N` in its place. The decoder is a state machine. An escape,
key or `data:` head that a chunk cuts is completed from the next chunk, so chunks may end anywhere.
"""

import binascii
import json
import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

import pybase64

from batchgen.types import PayloadSink, SinkFactory, Spooled

PLACEHOLDER = "batchgen-payload:"
PAYLOAD_KEYS = frozenset({"b64_json", "image_base64", "b64", "base64"})

_ESCAPED_BYTES = 6  # the longest way to write an ASCII character in JSON: \u0061
_KEY_BYTES = _ESCAPED_BYTES * max(map(len, PAYLOAD_KEYS)) + 1
_HEAD_CHARACTERS = 256
_HEAD_BYTES = _ESCAPED_BYTES * _HEAD_CHARACTERS
_HEAD_STARTS = (b"d", b"D", b"\\")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
_JSON_STARTS = (b"{", b"[", b'"')
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_KEYS = b"|".join(key.encode() for key in sorted(PAYLOAD_KEYS))
# Strings that are neither a payload's key nor a `data:` URL, with the text before each; then, if a
# payload follows, its key and the quote that opens it.
# Groups are repeated inside of atomic ones: before Python 3.11.5 a possessive repeat of a group
# ends where its last iteration, which failed, had stopped.
_PLAIN = re.compile(
    rb'(?>(?:[^"]*+"(?!(?:%s)"|[dD][aA][tT][aA]:)[^"\\]*+")*)' % _KEYS
    + rb'(?>(?:[^"]*+"(%s)"[ \t\r\n]*+:[ \t\r\n]*+")?)' % _KEYS
)
_STRING = re.compile(rb'"[^"]*+"')
_STRING_TEXT = re.compile(rb'(?>(?:[^"\\]++|\\.)*)', re.DOTALL)
_HEAD = re.compile(rb'((?>(?:[^"\\,]++|\\(?!u002[cC]).)*))(,|\\u002[cC]|")?', re.DOTALL)
_HALF_ESCAPE = re.compile(rb"\\(?:u[0-9a-fA-F]{0,3})?\Z")
_PARTIAL_GROUP = re.compile(rb"[A-Za-z0-9+/]{0,3}|[A-Za-z0-9+/]{2}=")
_STANDARD = re.compile(rb"[+/]")
_URLSAFE_TO_STANDARD = bytes.maketrans(b"-_", b"+/")
_JUNK = re.compile(rb"[^A-Za-z0-9+/=_ \t\r\n-]")


class PayloadError(ValueError):
    """A reply that cannot be decoded, or is too large; the message is for people."""


_State: TypeAlias = Callable[["PayloadDecoder", bytes, int], int | None]


class PayloadDecoder:
    """Splits one reply into its payloads and the JSON that is left.

    Payloads are the strings under PAYLOAD_KEYS and each value that is a `data:...;base64,` URL.
    A reply that does not begin like JSON is returned unchanged. After an error (PayloadError, or an
    error of a sink) only `abort` may be called.

    max_payload_bytes: of one payload, decoded. max_rest_bytes: of everything else.
    max_payloads: those after it are dropped; their placeholders have no payload.
    """

    def __init__(
        self,
        open_sink: SinkFactory,
        *,
        max_payload_bytes: int,
        max_rest_bytes: int = 4 * 1024 * 1024,
        max_payloads: int = 256,
    ) -> None:
        self._open_sink = open_sink
        self._max_payload_bytes = max_payload_bytes
        self._max_rest_bytes = max_rest_bytes
        self._max_payloads = max_payloads
        self._state: _State = PayloadDecoder._start
        self._unread = b""
        self._position = _JsonPosition()
        self._payload_key: str | None = None
        self._rest = bytearray()
        self._sinks: list[PayloadSink] = []
        self._spooled: list[Spooled] = []

    def feed(self, chunk: bytes) -> None:
        """Decode the next bytes of the reply. Raises PayloadError, and the errors of a sink."""
        data = self._unread + chunk if self._unread else chunk
        self._unread = b""
        position = 0
        while position < len(data):
            after = self._state(self, data, position)
            if after is None:
                self._unread = data[position:]
                return
            position = after

    def finish(self) -> tuple[bytes, tuple[Spooled, ...]]:
        """Return the JSON that is left, and the payloads in the order of their placeholders.

        Raises PayloadError if the reply ends within a payload.
        """
        if len(self._sinks) > len(self._spooled):
            raise PayloadError("base64 ends in the middle: the reply was cut off")
        self._append(self._unread)
        self._unread = b""
        return bytes(self._rest), tuple(self._spooled)

    def abort(self) -> None:
        """Discard all payloads, closed ones too; harmless when repeated."""
        for sink in self._sinks:
            sink.discard()

    # Each state gets the bytes and a position before their end. It returns the position after the
    # bytes that it has consumed, or None if it needs the next bytes first. The next state is stored
    # unbound: a bound method would be a reference cycle, which keeps the payloads in memory.

    def _start(self, data: bytes, start: int) -> int | None:
        """Before the first byte, which decides whether the reply is JSON."""
        body = data[start:].removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
        if body and _BYTE_ORDER_MARK.startswith(body):
            return None
        first = len(data) - len(body)
        self._append(data[start:first])
        if body:
            self._state = (
                PayloadDecoder._between_strings
                if body.startswith(_JSON_STARTS)
                else PayloadDecoder._verbatim
            )
        return first

    def _verbatim(self, data: bytes, start: int) -> int:
        self._append(data[start:])
        return len(data)

    def _between_strings(self, data: bytes, start: int) -> int:
        """Between strings, up to and including the quote that opens the next relevant one."""
        plain = _PLAIN.match(data, start) if self._payload_key is None else None
        key = plain[1] if plain else None
        last = plain.end() if plain else start
        if plain and key is not None:
            last = plain.start(1) - 1
        quote = data.find(b'"', last)
        end = len(data) if quote < 0 else quote
        self._position.move_over(_STRING.sub(b'"', data[start:last]) + data[last:end])
        if quote < 0:
            self._append(data[start:])
            return end
        if plain and key is not None and self._position.expects_key:
            self._payload_key = key.decode()
            self._position.move_over(b":")
            quote = plain.end() - 1
        self._append(data[start : quote + 1])
        self._state = (
            PayloadDecoder._in_key if self._position.expects_key else PayloadDecoder._in_value
        )
        return quote + 1

    def _in_key(self, data: bytes, start: int) -> int | None:
        end = _text_end(data, start)
        closed = data[end : end + 1] == b'"'
        if not closed and len(data) - start < _KEY_BYTES:
            return None
        key = _unescaped(data[start:end]) if closed else None
        self._payload_key = key if key in PAYLOAD_KEYS else None
        self._state = PayloadDecoder._in_text
        return start

    def _in_value(self, data: bytes, start: int) -> int | None:
        """The first bytes of a value, which decide whether it is a payload."""
        head = data[start : start + _HEAD_BYTES]
        if not _is_decisive(head):
            return None
        key = self._payload_key if self._position.follows_key else None
        offset = _payload_offset(head, under_payload_key=key is not None)
        if offset is None:
            self._state = PayloadDecoder._in_text
            return start
        payload = self._open_payload(key or "a data: URL")
        self._state = partial(PayloadDecoder._in_payload, payload=payload)
        return start + offset

    def _in_text(self, data: bytes, start: int) -> int | None:
        """In a string that is left in the JSON, up to and including its closing quote."""
        end = _text_end(data, start)
        if data[end : end + 1] == b'"':
            end += 1
            self._leave_string()
        elif end == start:
            return None
        self._append(data[start:end])
        return end

    def _in_payload(self, data: bytes, start: int, *, payload: "_Base64") -> int | None:
        """In a payload, up to and including its closing quote."""
        quote = data.find(b'"', start)
        end = len(data) if quote < 0 else quote
        if data.find(b"\\", start, end) < 0:
            payload.write(memoryview(data)[start:end])
        else:
            end = payload.write_escaped(data[start:end], complete=quote >= 0) + start
        if quote < 0:
            return end if end > start else None
        spooled = payload.close()
        if not isinstance(payload.sink, _Dropped):
            self._spooled.append(spooled)
        self._payload_key = None
        self._append(b'"')
        self._leave_string()
        return quote + 1

    def _leave_string(self) -> None:
        self._position.move_over(b'"')
        self._state = PayloadDecoder._between_strings

    def _open_payload(self, name: str) -> "_Base64":
        self._append(f"{PLACEHOLDER}{len(self._sinks)}".encode())
        if len(self._sinks) == self._max_payloads:
            return _Base64(_Dropped(), name=name, max_bytes=self._max_payload_bytes)
        sink = self._open_sink()
        self._sinks.append(sink)
        return _Base64(sink, name=name, max_bytes=self._max_payload_bytes)

    def _append(self, data: bytes) -> None:
        if len(self._rest) + len(data) > self._max_rest_bytes:
            limit_mb = self._max_rest_bytes / 1_000_000
            raise PayloadError(f"the reply without its payloads is over {limit_mb:g} MB")
        self._rest += data


class _JsonPosition:
    """Tracks by the characters between strings whether the next one is a key or a value."""

    def __init__(self) -> None:
        self._open_brackets = bytearray()
        self._last = b""

    def move_over(self, between: bytes) -> None:
        for bracket in between.translate(None, _NO_BRACKETS):
            if bracket in b"{[":
                self._open_brackets.append(bracket)
            elif self._open_brackets:
                self._open_brackets.pop()
        self._last = between.rstrip(_BLANKS)[-1:] or self._last

    @property
    def expects_key(self) -> bool:
        return self._last in (b"{", b",") and self._open_brackets.endswith(b"{")

    @property
    def follows_key(self) -> bool:
        return self._last == b":"


class _Dropped:
    """A sink that keeps nothing."""

    def write(self, data: bytes) -> None:
        """Drop the bytes."""

    def close(self) -> Spooled:
        return Spooled("", 0, "", b"")

    def discard(self) -> None:
        """Do nothing: there is nothing to discard."""


class _Base64:
    """Decodes one base64 string, chunk by chunk, into a sink.

    Both alphabets are accepted, but not in one string. Blanks are skipped (MIME breaks lines), and
    padding may be missing at the end. Everything else is an error, never dropped.
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
            raise PayloadError(f"{self._name} mixes both base64 alphabets: + or / and - or _")
        self._read_bytes += len(chunk)

    def write_escaped(self, chunk: bytes, *, complete: bool) -> int:
        """Write a chunk except half a JSON escape at its end; return the length written."""
        half = _HALF_ESCAPE.search(chunk)
        end = half.start() if half else len(chunk)
        text = _unescaped(chunk[:end])
        if text is None or (half and complete):
            raise self._invalid(chunk.find(b"\\"))
        self.write(text.encode("latin-1", "replace"))
        return end

    def close(self) -> Spooled:
        """Finish the string and return its payload. Raises PayloadError if it is cut off."""
        if len(self._partial_group) == 1:
            raise PayloadError(f"base64 ends in the middle of {self._name}")
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

    def _invalid(self, offset: int) -> PayloadError:
        return PayloadError(f"invalid base64 at byte {self._read_bytes + offset} of {self._name}")


def _text_end(data: bytes, start: int) -> int:
    """Return the end of a string's text: its closing quote, half an escape, or the data's end."""
    body = _STRING_TEXT.match(data, start)
    return body.end() if body else start


def _unescaped(body: bytes) -> str | None:
    """Return a string's text, one character per unescaped byte; None for an invalid escape."""
    if b"\\" not in body:
        return body.decode("latin-1")
    try:
        text: str = json.loads(f'"{body.decode("latin-1")}"', strict=False)
    except ValueError:
        return None
    return text


def _is_decisive(head: bytes) -> bool:
    """Return whether a value's first bytes decide what it is, for any bytes that follow."""
    if not head.startswith(_HEAD_STARTS) or len(head) == _HEAD_BYTES:
        return True
    match = _HEAD.match(head)
    return match is not None and match[2] is not None


def _payload_offset(head: bytes, *, under_payload_key: bool) -> int | None:
    """Return the offset of the base64 in a value with these first bytes; None if no payload."""
    match = _HEAD.match(head) if head.startswith(_HEAD_STARTS) else None
    url = (_unescaped(match[1]) or "").lower() if match else ""
    if match is None or not url.startswith("data:"):
        return 0 if under_payload_key and not head.startswith(b'"') else None
    has_comma = match[2] not in (None, b'"')
    is_base64 = url.endswith(";base64") and len(url) < _HEAD_CHARACTERS
    return match.end() if has_comma and is_base64 else None
