"""Take base64 payloads out of a JSON reply while its bytes arrive.

A large image is never in memory as a whole: its bytes go to a sink as they arrive, and the small
JSON that is left has `batchgen-payload:N` in its place, or `batchgen-broken:N` for base64 that
cannot be decoded. The decoder is a state machine. An escape, key or head of a value that a chunk
cuts is completed from the next chunk, so chunks may end anywhere.
"""

import re
from collections.abc import Callable
from functools import partial
from typing import TypeAlias

from batchgen.http.base64_text import Base64Text, BrokenBase64Error, PayloadError, unescaped
from batchgen.http.payload_heads import (
    FIRST_OF_STARTS,
    HEAD_BYTES,
    KEYS,
    STARTS,
    payload_offset,
    text_end,
)
from batchgen.types import PayloadSink, SinkFactory, Spooled

PLACEHOLDER = "batchgen-payload:"
BROKEN = "batchgen-broken:"

_ESCAPED_BYTES = 6  # the longest way to write an ASCII character in JSON: \u0061
_KEY_BYTES = _ESCAPED_BYTES * max(map(len, KEYS)) + 1
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BLANKS = b" \t\r\n"
# JSON, or text around JSON: comments, events, a prefix. Not: HTML, binary files, other charsets.
_TEXT = re.compile(rb"[\x20-\x3b\x3d-\x7e]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))
_FIRST = bytes({key.encode()[0] for key in KEYS}) + FIRST_OF_STARTS  # a quick check
_KEY = b"|".join(key.encode() for key in sorted(KEYS))
# Strings that are neither a payload's key nor begin like a payload, with the text before each;
# then, if a payload may follow, its key and the quote that opens it.
# Groups are repeated inside of atomic ones: before Python 3.11.5 a possessive repeat of a group
# ends where its last iteration, which failed, had stopped.
_PLAIN = re.compile(
    rb'(?>(?:[^"]*+"(?!(?=[%s])(?:(?:%s)"|%s))[^"\\]*+")*)' % (_FIRST, _KEY, STARTS)
    + rb'(?>(?:[^"]*+"(%s)"[ \t\r\n]*+:[ \t\r\n]*+")?)' % _KEY
)
_STRING = re.compile(rb'"[^"]*+"')


_State: TypeAlias = Callable[["PayloadDecoder", bytes, int], int | None]


class PayloadDecoder:
    """Splits one reply into its payloads and the JSON that is left.

    Payloads are the base64 strings under PAYLOAD_KEYS, each value that is a `data:...;base64,`
    URL, and each that is the base64 of a known file. A reply that does not begin like text is
    returned unchanged. After an error (PayloadError, or an error of a sink) only `abort` may be
    called.

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
        self._broken = 0

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
        """Before the first byte, which decides whether the reply is text that may have JSON."""
        body = data[start:].removeprefix(_BYTE_ORDER_MARK).lstrip(_BLANKS)
        if body and _BYTE_ORDER_MARK.startswith(body):
            return None
        first = len(data) - len(body)
        self._append(data[start:first])
        if body:
            self._state = (
                PayloadDecoder._between_strings if _TEXT.match(body) else PayloadDecoder._verbatim
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
        end = text_end(data, start)
        closed = data[end : end + 1] == b'"'
        if not closed and len(data) - start < _KEY_BYTES:
            return None
        key = unescaped(data[start:end]) if closed else None
        self._payload_key = key if key in KEYS else None
        self._state = PayloadDecoder._in_text
        return start

    def _in_value(self, data: bytes, start: int) -> int | None:
        """The first bytes of a value, which decide whether it is a payload."""
        end = text_end(data, start, start + HEAD_BYTES)
        is_closed = data[end : end + 1] == b'"'
        if not is_closed and len(data) - start < HEAD_BYTES:
            return None
        key = self._payload_key if self._position.follows_key else None
        offset = payload_offset(data[start:end], key, is_closed=is_closed)
        if offset is None:
            self._state = PayloadDecoder._in_text
            return start
        payload = self._open_payload(key or "a payload")
        self._state = partial(PayloadDecoder._in_payload, payload=payload)
        return start + offset

    def _in_text(self, data: bytes, start: int) -> int | None:
        """In a string that is left in the JSON, up to and including its closing quote."""
        end = text_end(data, start)
        if data[end : end + 1] == b'"':
            end += 1
            self._leave_string()
        elif end == start:
            return None
        self._append(data[start:end])
        return end

    def _in_payload(self, data: bytes, start: int, *, payload: Base64Text) -> int | None:
        """In a payload, up to and including its closing quote."""
        quote = data.find(b'"', start)
        end = len(data) if quote < 0 else quote
        try:
            if data.find(b"\\", start, end) < 0:
                payload.write(memoryview(data)[start:end])
            else:
                end = payload.write_escaped(data[start:end], complete=quote >= 0) + start
            if quote >= 0:
                self._close_payload(payload)
        except BrokenBase64Error:
            self._discard_broken(payload)
            return start
        if quote < 0:
            return end if end > start else None
        self._append(b'"')
        self._leave_string()
        return quote + 1

    def _close_payload(self, payload: Base64Text) -> None:
        spooled = payload.close()
        number = self._max_payloads
        if not isinstance(payload.sink, _Dropped):
            number = len(self._spooled)
            self._spooled.append(spooled)
        self._append(f"{PLACEHOLDER}{number}".encode())

    def _discard_broken(self, payload: Base64Text) -> None:
        """Leave a payload that cannot be decoded; the other ones of the reply are not affected."""
        if not isinstance(payload.sink, _Dropped):
            self._sinks.pop().discard()
        self._append(f"{BROKEN}{self._broken}".encode())
        self._broken += 1
        self._state = PayloadDecoder._in_broken

    def _in_broken(self, data: bytes, start: int) -> int | None:
        """In a string that is not base64, up to its closing quote."""
        end = text_end(data, start)
        if data[end : end + 1] == b'"':
            self._append(b'"')
            self._leave_string()
            return end + 1
        return end if end > start else None

    def _leave_string(self) -> None:
        if self._position.follows_key:  # else the string is itself a key
            self._payload_key = None
        self._position.move_over(b'"')
        self._state = PayloadDecoder._between_strings

    def _open_payload(self, name: str) -> Base64Text:
        if len(self._sinks) == self._max_payloads:
            return Base64Text(_Dropped(), name=name, max_bytes=self._max_payload_bytes)
        sink = self._open_sink()
        self._sinks.append(sink)
        return Base64Text(sink, name=name, max_bytes=self._max_payload_bytes)

    def _append(self, data: bytes) -> None:
        if len(self._rest) + len(data) > self._max_rest_bytes:
            limit_mb = self._max_rest_bytes / 1_000_000
            raise PayloadError(f"the reply without its payloads is over {limit_mb:g} MB")
        self._rest += data


class _Dropped:
    """A sink that keeps nothing."""

    def write(self, data: bytes) -> None:
        """Drop the bytes."""

    def close(self) -> Spooled:
        return Spooled("", 0, "", b"")

    def discard(self) -> None:
        """Do nothing: there is nothing to discard."""


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
