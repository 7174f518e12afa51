"""Embed metadata in PNG, JPEG and WebP files, and read it, without decoding the image. Pure.

The file's headers alone show where metadata belongs, so the image data is only copied. PNG has it
in an iTXt chunk after the header (PNG 3rd edition, 11.3.3.4). JPEG has it in an APP1 segment and
WebP in a chunk at the end, both as XMP (XMP Specification Part 3; RFC 9649).
"""

import html
import re
import struct
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO
from xml.sax.saxutils import escape

import msgspec

from batchgen.media.formats import JPEG, PNG, WEBP, MediaType, dimensions

KEYWORD = "batchgen"
MAX_METADATA_BYTES = 48_000  # of JSON: it fits in a JPEG segment even when escaped
_COPY_BYTES = 256 * 1024
_MAX_READ_BYTES = 1024 * 1024
_MAX_CHUNKS = 4096
_PNG_HEADER_END = 33
_XMP_PREFIX = b"http://ns.adobe.com/xap/1.0/\0"
_APP0, _APP1 = 0xE0, 0xE1
_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10
_RIFF_HEAD = 12
_MAX_SEGMENT_BYTES = 65_533
_METADATA = re.compile(rb'batchgen:story="([^"]*)"')
_XMP = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description'
    ' rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:batchgen="urn:batchgen:story:1#"'
    ' xmp:CreatorTool="batchgen" batchgen:story="{metadata}"><dc:description><rdf:Alt>'
    '<rdf:li xml:lang="x-default">{description}</rdf:li></rdf:Alt></dc:description>'
    '</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


class Edit(msgspec.Struct, frozen=True):
    """Replace the `removed` bytes at `offset` by `data`."""

    offset: int
    removed: int
    data: bytes


def metadata_edits(
    file: BinaryIO, media: MediaType, metadata: str, description: str
) -> tuple[Edit, ...] | None:
    """Return the edits that embed metadata in a seekable file; None if it has no place for it.

    metadata: one line without control characters, such as JSON. description: the text that other
    programs show. A JPEG or WebP that already has metadata in that place is not changed.
    """
    editor = _EDITORS.get(media)
    if editor is None or len(metadata.encode()) > MAX_METADATA_BYTES:
        return None
    try:
        return editor(file, metadata, description)
    except (struct.error, ValueError):
        return None


def apply_edits(file: BinaryIO, edits: tuple[Edit, ...], write: Callable[[bytes], None]) -> None:
    """Write a copy of a seekable file with these edits, which are ordered by their offsets."""
    at = 0
    for edit in edits:
        _copy(file, at, edit.offset - at, write)
        write(edit.data)
        at = edit.offset + edit.removed
    _copy(file, at, None, write)


def read_metadata(file: BinaryIO, media: MediaType) -> str | None:
    """Return the metadata that `metadata_edits` embedded in a seekable file; None if none."""
    reader = _READERS.get(media)
    if reader is None:
        return None
    try:
        return reader(file)
    except (struct.error, ValueError, zlib.error):
        return None


def _copy(file: BinaryIO, at: int, length: int | None, write: Callable[[bytes], None]) -> None:
    file.seek(at)
    while length is None or length > 0:
        data = file.read(_COPY_BYTES if length is None else min(_COPY_BYTES, length))
        if not data:
            return
        write(data)
        if length is not None:
            length -= len(data)


def _read_exactly(file: BinaryIO, offset: int, length: int) -> bytes:
    file.seek(offset)
    data = file.read(length)
    if len(data) < length:
        raise ValueError(f"the file ends before {offset + length}")
    return data


def _xmp(metadata: str, description: str) -> bytes:
    readable = "".join(c if c.isprintable() or c == "\n" else " " for c in description)
    return _XMP.format(
        metadata=escape(metadata, {'"': "&quot;"}), description=escape(readable)
    ).encode("utf-8", "replace")


def _metadata_in(xmp: bytes) -> str | None:
    match = _METADATA.search(xmp)
    return None if match is None else html.unescape(match[1].decode())


# PNG


def _png_edits(file: BinaryIO, metadata: str, description: str) -> tuple[Edit, ...] | None:
    if _read_exactly(file, 12, 4) != b"IHDR":
        return None
    texts = (("Software", "batchgen"), ("Description", description), (KEYWORD, metadata))
    chunks = b"".join(_itxt(keyword, text) for keyword, text in texts)
    return (Edit(_PNG_HEADER_END, 0, chunks),)


def _itxt(keyword: str, text: str) -> bytes:
    encoded = text.replace("\0", " ").encode("utf-8", "replace")
    data = keyword.encode("latin-1") + b"\0\0\0\0\0" + encoded
    checksum = zlib.crc32(b"iTXt" + data)
    return struct.pack(">I", len(data)) + b"iTXt" + data + struct.pack(">I", checksum)


def _read_png(file: BinaryIO) -> str | None:
    start = KEYWORD.encode() + b"\0\0\0\0\0"
    for kind, offset, size in _png_chunks(file):
        if kind != b"iTXt" or not len(start) <= size <= _MAX_READ_BYTES:
            continue
        if _read_exactly(file, offset, len(start)) == start:
            return _read_exactly(file, offset, size)[len(start) :].decode()
    return None


def _png_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    at = 8
    for _ in range(_MAX_CHUNKS):
        size, kind = struct.unpack(">I4s", _read_exactly(file, at, 8))
        if kind == b"IDAT":
            return
        yield kind, at + 8, size
        at += 12 + size


# JPEG


def _jpeg_edits(file: BinaryIO, metadata: str, description: str) -> tuple[Edit, ...] | None:
    insert_at = 2
    for marker, offset, size in _jpeg_segments(file):
        if marker == _APP0 and insert_at == offset - 4:
            insert_at = offset + size  # JFIF must be the first segment
        if (
            marker == _APP1
            and _read_exactly(file, offset, min(size, len(_XMP_PREFIX))) == _XMP_PREFIX
        ):
            return None
    data = _XMP_PREFIX + _xmp(metadata, description)
    if len(data) > _MAX_SEGMENT_BYTES:
        return None
    return (Edit(insert_at, 0, struct.pack(">BBH", 0xFF, _APP1, len(data) + 2) + data),)


def _read_jpeg(file: BinaryIO) -> str | None:
    for marker, offset, size in _jpeg_segments(file):
        if marker == _APP1:
            data = _read_exactly(file, offset, size)
            if data.startswith(_XMP_PREFIX):
                return _metadata_in(data)
    return None


def _jpeg_segments(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Yield marker, offset and size of the segments before the image data (ITU T.81, annex B)."""
    at = 2
    for _ in range(_MAX_CHUNKS):
        prefix, marker, size = struct.unpack(">BBH", _read_exactly(file, at, 4))
        if prefix != 0xFF or not (0xE0 <= marker <= 0xEF or marker == 0xFE):  # noqa: PLR2004  # APPn, COM
            return
        yield marker, at + 4, size - 2
        at += 2 + size


# WebP


def _webp_edits(file: BinaryIO, metadata: str, description: str) -> tuple[Edit, ...] | None:
    chunks = dict((kind, (offset, size)) for kind, offset, size in _webp_chunks(file))  # noqa: C402  # names
    (riff_bytes,) = struct.unpack("<I", _read_exactly(file, 4, 4))
    end = riff_bytes + 8
    if file.seek(0, 2) != end or b"XMP " in chunks:
        return None
    header, first = _webp_header(file, chunks)
    data = _xmp(metadata, description)
    chunk = b"XMP " + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
    new_riff_bytes = riff_bytes + len(header.data) - header.removed + len(chunk)
    if first is None or new_riff_bytes >= 2**32:
        return None
    return (Edit(4, 4, struct.pack("<I", new_riff_bytes)), header, Edit(end, 0, chunk))


def _webp_header(file: BinaryIO, chunks: dict[bytes, tuple[int, int]]) -> tuple[Edit, bytes | None]:
    """Return an edit that makes an extended header with the XMP flag, and the first chunk's type.

    None for the type if the file is not an image that can be edited.
    """
    if b"VP8X" in chunks:
        at = chunks[b"VP8X"][0]
        return Edit(at, 1, bytes((_read_exactly(file, at, 1)[0] | _XMP_FLAG,))), b"VP8X"
    first = next(iter(chunks), None)
    size = dimensions(file, WEBP)
    if first not in {b"VP8 ", b"VP8L"} or size is None:
        return Edit(_RIFF_HEAD, 0, b""), None
    flags = _XMP_FLAG
    if first == b"VP8L" and _read_exactly(file, chunks[first][0] + 4, 1)[0] & 0x10:
        flags |= _ALPHA_FLAG
    sides = b"".join((side - 1).to_bytes(3, "little") for side in size)
    return Edit(_RIFF_HEAD, 0, struct.pack("<4sIB3x", b"VP8X", 10, flags) + sides), first


def _read_webp(file: BinaryIO) -> str | None:
    for kind, offset, size in _webp_chunks(file):
        if kind == b"XMP ":
            return _metadata_in(_read_exactly(file, offset, min(size, _MAX_READ_BYTES)))
    return None


def _webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, int]]:
    (riff_bytes,) = struct.unpack("<I", _read_exactly(file, 4, 4))
    at = _RIFF_HEAD
    for _ in range(_MAX_CHUNKS):
        if at + 8 > riff_bytes + 8:
            return
        kind, size = struct.unpack("<4sI", _read_exactly(file, at, 8))
        yield kind, at + 8, size
        at += 8 + size + size % 2


_EDITORS = {PNG: _png_edits, JPEG: _jpeg_edits, WEBP: _webp_edits}
_READERS = {PNG: _read_png, JPEG: _read_jpeg, WEBP: _read_webp}
