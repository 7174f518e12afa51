"""Undo the Content-Encoding of a body while it arrives.

Requests ask for no encoding, but some servers and proxies compress all the same, and some label
plain bodies as compressed. So the bytes decide first: gzip and zstd have signatures, and text,
images and audio are recognized. The label decides about everything else.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any, Protocol, TypeAlias

from batchgen.media.formats import sniff

HEAD_BYTES = 64  # they show whether a body is plain
_PIECE_BYTES = 256 * 1024
_MAX_LABELS = 4
_MAX_MEMBERS = 1024  # of one body; each copies what follows it
_MAX_SILENT_BYTES = 1024 * 1024  # without a decoded byte, such as an endless header of gzip
_MAX_NAME = 80  # characters in a message
_GZIP = b"\x1f\x8b\x08"
_ZSTD = b"\x28\xb5\x2f\xfd"
_GZIP_WINDOW, _ZLIB_WINDOW, _RAW_WINDOW = 31, 15, -15  # `wbits` of zlib
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1f\x7f]")
_MAX_UTF8_BYTES = 4
_NAMES = {"x-gzip": "gzip", "x-deflate": "deflate", "zstandard": "zstd", "brotli": "br"}
# Optional libraries, and the package to install: Python has zstd since 3.14.
_LIBRARIES = {
    "br": (("brotli", "brotlicffi"), "brotli"),
    "zstd": (("compression.zstd", "backports.zstd"), "backports.zstd"),
}


class UndecodableError(Exception):
    """A body with a Content-Encoding that cannot be undone; the message is for people.

    seen: the bytes of the body that were read so far.
    """

    seen = b""


class DamagedBodyError(OSError):
    """A compressed body that breaks off, or continues with bytes that do not fit."""


class _Decompressor(Protocol):
    """A decompressor of the standard library's kind: output in pieces of at most `max_length`."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int) -> bytes: ...


_Open: TypeAlias = Callable[[], _Decompressor]


def encodings_of(label: str) -> tuple[str, ...]:
    """Return the encodings of a Content-Encoding header in the order in which they were applied."""
    names = (name.strip().strip('"').lower() for name in label.split(","))
    return tuple(_NAMES.get(name, name) for name in names if name not in ("", "identity", "none"))


class BodyDecoder:
    """Decodes one body, chunk by chunk.

    Raises UndecodableError before the first decoded byte, DamagedBodyError after it.
    """

    def __init__(self, label: str) -> None:
        """label: the Content-Encoding header, empty if there is none."""
        self._label = label
        names = encodings_of(label) or ("",)
        stages = names if len(names) <= _MAX_LABELS else (label,)
        # The last encoding was applied to the others, so it is undone first.
        self._stages = [_Stage(name) for name in reversed(stages)]
        self._seen: bytes | None = b""  # None after the first decoded byte

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the decoded pieces of the next bytes."""
        if self._seen is not None:
            self._seen += chunk
        return self._checked(self._through(chunk, 0))

    def finish(self) -> Iterator[bytes]:
        """Yield what is left at the end of the body."""
        return self._checked(self._rest())

    def _checked(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        try:
            for piece in pieces:
                self._seen = None
                yield piece
            self._check_silence()
        except UndecodableError as error:
            error.seen = self._seen or b""
            raise

    def _check_silence(self) -> None:
        if self._seen is not None and len(self._seen) > _MAX_SILENT_BYTES:
            raise UndecodableError(_cannot_decode(self._label))

    def _rest(self) -> Iterator[bytes]:
        for number, stage in enumerate(self._stages):
            for piece in stage.finish():
                yield from self._through(piece, number + 1)

    def _through(self, chunk: bytes, number: int) -> Iterator[bytes]:
        if number == len(self._stages):
            yield chunk
            return
        for piece in self._stages[number].feed(chunk):
            yield from self._through(piece, number + 1)


class _Stage:
    """Undoes one encoding, after its first bytes have shown which one it is."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._head = b""
        self._is_open = False
        self._open: _Open | None = None  # None: the body is plain
        self._decompressor: _Decompressor | None = None
        self._has_output = False
        self._members = 1

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if not self._is_open:
            self._head += chunk
            if len(self._head) < HEAD_BYTES:
                return
            chunk = self._start()
        yield from self._decode(chunk)

    def finish(self) -> Iterator[bytes]:
        if not self._is_open:
            yield from self._decode(self._start())
        if self._decompressor is not None and not self._decompressor.eof:
            raise self._error("ends too early")

    def _start(self) -> bytes:
        head, self._head = self._head, b""
        self._is_open = True
        self._open = _opener(self._name, head)
        return head

    def _decode(self, data: bytes) -> Iterator[bytes]:
        if self._open is None:
            if data:
                yield data
            return
        while data:
            if self._decompressor is None:
                self._decompressor = self._open()
            elif self._decompressor.eof:
                if not data.startswith((_GZIP[:1], _ZSTD[:1])):
                    return  # padding behind the end
                self._members += 1
                if self._members > _MAX_MEMBERS:
                    raise self._error("has too many parts")
                self._decompressor = self._open()
            yield from self._pieces(self._decompressor, data)
            data = self._decompressor.unused_data if self._decompressor.eof else b""

    def _pieces(self, decompressor: _Decompressor, data: bytes) -> Iterator[bytes]:
        while not decompressor.eof:
            try:
                piece = decompressor.decompress(data, _PIECE_BYTES)
            except Exception as error:  # each library has an exception of its own
                raise self._error("has bytes that do not fit") from error
            if not piece:
                return
            self._has_output = True
            yield piece
            data = b""

    def _error(self, what: str) -> Exception:
        name = self._name or "compressed"
        if self._has_output:
            return DamagedBodyError(f"the {name} body of the reply {what}")
        return UndecodableError(_cannot_decode(name))


def _opener(name: str, head: bytes) -> _Open | None:
    """Return what opens a decompressor for a body that begins with `head`; None if it is plain."""
    if head.startswith(_GZIP):
        return lambda: _Zlib(_GZIP_WINDOW)
    if head.startswith(_ZSTD):
        opened: _Open = _library("zstd").ZstdDecompressor
        return opened
    if not name or _is_plain(head):
        return None
    match name:
        case "deflate" | "gzip":
            window = _ZLIB_WINDOW if _has_zlib_header(head) else _RAW_WINDOW
            return lambda: _Zlib(window)
        case "br":
            library = _library(name)
            return lambda: _Brotli(library.Decompressor())
        case _:
            raise UndecodableError(_cannot_decode(name))


def _is_plain(head: bytes) -> bool:
    """Return whether a body is not compressed: a known file, or text without control characters."""
    if sniff(head) is not None:
        return True
    start = head[:HEAD_BYTES]
    if _CONTROL.search(start):
        return False
    for cut in range(_MAX_UTF8_BYTES):  # a character may be cut at the end
        try:
            start[: len(start) - cut].decode()
        except UnicodeDecodeError:
            continue
        return True
    return False


def _has_zlib_header(head: bytes) -> bool:
    """Return whether it begins like zlib's format (RFC 1950): method 8, and a check of 31."""
    return len(head) > 1 and head[0] & 0x0F == 8 and int.from_bytes(head[:2]) % 31 == 0  # noqa: PLR2004


def _cannot_decode(name: str) -> str:
    return (
        f"the reply has Content-Encoding {name[:_MAX_NAME]}, which was not asked for and cannot be"
        " decoded"
    )


def _library(name: str) -> Any:  # noqa: ANN401  # the module of an optional library
    """Return the library for an encoding; raise UndecodableError if none is installed."""
    modules, package = _LIBRARIES[name]
    for module in modules:
        try:
            return import_module(module)
        except ImportError:
            continue
    raise UndecodableError(f"{_cannot_decode(name)}; install the package {package}")


class _Zlib:
    """zlib's object with the interface of the newer decompressors."""

    def __init__(self, window: int) -> None:
        self._object = zlib.decompressobj(window)

    @property
    def eof(self) -> bool:
        return self._object.eof

    @property
    def unused_data(self) -> bytes:
        return self._object.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._object.decompress(self._object.unconsumed_tail + data, max_length)


class _Brotli:
    """brotli's decompressor with the interface of the newer decompressors."""

    unused_data = b""

    def __init__(self, decompressor: Any) -> None:  # noqa: ANN401  # of an optional library
        self._decompressor = decompressor

    @property
    def eof(self) -> bool:
        return bool(self._decompressor.is_finished())

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece: bytes = self._decompressor.process(data, output_buffer_limit=max_length)
        return piece
