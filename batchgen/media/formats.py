"""Detect a file's type by its first bytes, and an image's dimensions by its headers."""

import re
import struct
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Literal, TypeAlias, get_args

import msgspec

Family: TypeAlias = Literal["image", "video", "audio", "model", "document", "text", "data"]
Size: TypeAlias = tuple[int, int]
FAMILIES: tuple[Family, ...] = get_args(Family)

_SVG_BYTES = 64 * 1024  # enough for the start tag of the root element
_META_BYTES = 1024 * 1024  # it holds colour profiles, but not the images
_MARKERS = 4096  # of a JPEG before its frame header: a large profile takes a few dozen
_ENTRIES = 4096  # of a TIFF directory; a few dozen are usual
_BOXES = 64
# Markers of a JPEG: frame headers; those without a segment; the end, and the start of the data.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_BARE = frozenset({0x01, *range(0xD0, 0xD8)})
_LAST = frozenset({0xD9, 0xDA})
_PREFIX = 0xFF
_MAX_OFFSET = 2**40  # of a header; the file system may refuse to seek beyond it
_MAX_SIDE = 2**31 - 1


class MediaType(msgspec.Struct, frozen=True):
    """A file type; extension: without the dot."""

    mime: str
    extension: str
    family: Family


PNG = MediaType("image/png", "png", "image")
JPEG = MediaType("image/jpeg", "jpg", "image")
WEBP = MediaType("image/webp", "webp", "image")
GIF = MediaType("image/gif", "gif", "image")
AVIF = MediaType("image/avif", "avif", "image")
HEIC = MediaType("image/heic", "heic", "image")
SVG = MediaType("image/svg+xml", "svg", "image")
TIFF = MediaType("image/tiff", "tiff", "image")
BMP = MediaType("image/bmp", "bmp", "image")
MP4 = MediaType("video/mp4", "mp4", "video")
QUICKTIME = MediaType("video/quicktime", "mov", "video")
WEBM = MediaType("video/webm", "webm", "video")
MATROSKA = MediaType("video/x-matroska", "mkv", "video")
M4A = MediaType("audio/mp4", "m4a", "audio")
MP3 = MediaType("audio/mpeg", "mp3", "audio")
AAC = MediaType("audio/aac", "aac", "audio")
WAV = MediaType("audio/wav", "wav", "audio")
OGG = MediaType("audio/ogg", "ogg", "audio")
FLAC = MediaType("audio/flac", "flac", "audio")
GLB = MediaType("model/gltf-binary", "glb", "model")
PDF = MediaType("application/pdf", "pdf", "document")

TEXT = MediaType("text/plain", "txt", "text")
MARKDOWN = MediaType("text/markdown", "md", "text")
JSON = MediaType("application/json", "json", "text")
SUBRIP = MediaType("application/x-subrip", "srt", "text")
OBJ = MediaType("model/obj", "obj", "model")
NPY = MediaType("application/x-npy", "npy", "data")
PARQUET = MediaType("application/vnd.apache.parquet", "parquet", "data")
PCM = MediaType("audio/pcm", "pcm", "audio")
MULAW = MediaType("audio/basic", "ulaw", "audio")
ALAW = MediaType("audio/alaw", "alaw", "audio")
BINARY = MediaType("application/octet-stream", "bin", "data")

_GENERATED = {media.mime: media for media in (TEXT, MARKDOWN, JSON, SUBRIP, NPY, PARQUET)}
# Audio without a header: only the Content-Type shows its type.
_HEADERLESS = {
    "audio/pcm": PCM, "audio/l16": PCM, "audio/x-l16": PCM, "audio/raw": PCM,
    "audio/basic": MULAW, "audio/mulaw": MULAW, "audio/x-mulaw": MULAW, "audio/pcmu": MULAW,
    "audio/alaw": ALAW, "audio/x-alaw": ALAW, "audio/pcma": ALAW,
}  # fmt: skip
_DIB_SIZES = (12, 40, 52, 56, 64, 108, 124)
_SIGNATURES: tuple[tuple[re.Pattern[bytes], MediaType], ...] = tuple(
    (re.compile(pattern, re.DOTALL), media)
    for pattern, media in (
        (rb"\x89PNG\r\n\x1a\n", PNG),
        (rb"\xff\xd8\xff", JPEG),
        (rb"RIFF....WEBP", WEBP),
        (rb"GIF8[79]a", GIF),
        (rb"II(?:\*\0|\+\0\x08\0)|MM(?:\0\*|\0\+\0\x08)", TIFF),
        # A text may begin with these two letters, so the size of the second header is checked too.
        (rb"BM.{12}[" + re.escape(bytes(_DIB_SIZES)) + rb"]\0\0\0", BMP),
        (rb"\x1a\x45\xdf\xa3.{0,120}?webm", WEBM),
        (rb"\x1a\x45\xdf\xa3.{0,120}?matroska", MATROSKA),
        (rb"ID3[\x02-\x04]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]", MP3),
        (rb"\xff[\xf0\xf1\xf8\xf9]", AAC),
        (rb"RIFF....WAVE", WAV),
        (rb"OggS\0", OGG),
        (rb"fLaC", FLAC),
        (rb"glTF[\x01\x02]\0\0\0", GLB),
        (rb"%PDF-[0-9]", PDF),
        (rb"\x93NUMPY", NPY),
        (rb"PAR1", PARQUET),
        (rb"(?>(?:(?:#|mtllib |usemtl |[ogs] )[^\n]{0,200}+\n|\s)*)v(?: +-?[0-9.eE+-]++){3}", OBJ),
    )
)
_BRANDS = (
    (frozenset({b"avif", b"avis"}), AVIF),
    (frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}), HEIC),
    (frozenset({b"M4A ", b"M4B "}), M4A),
    (frozenset({b"qt  "}), QUICKTIME),
)
_SVG_ROOT = re.compile(
    r"""(?>(?:\s+|<\?.*?\?>|<!--.*?-->|<!DOCTYPE\s+svg\b[^>\[]*+(?:\[.*?\])?\s*+>)*)
        <(?:\w+:)?svg(?=[\s/>])((?>(?:[^>"']++|"[^"]*+"|'[^']*+')*))""",
    re.DOTALL | re.VERBOSE,
)
_SVG_ATTRIBUTE = re.compile(r"""(?<![\w:.-])([\w:.-]++)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_SVG_LENGTH = re.compile(r"\s*\+?([0-9]*\.?[0-9]+(?:[eE][+-]?[0-9]{1,2})?)(px|pt|pc|in|cm|mm)?\s*")
# CSS Values and Units, "absolute lengths": an inch is 96 pixels.
_PIXELS = {"px": 1.0, "in": 96.0, "pt": 96 / 72, "pc": 16.0, "cm": 96 / 2.54, "mm": 9.6 / 2.54}
_LENGTH_CHARACTERS = 40
_RIFF_HEADER = 8
_RIFF_UNKNOWN = b"\xff" * 4  # written by programs that cannot go back to the header
TAIL_BYTES = 64 * 1024


def sniff(head: bytes) -> MediaType | None:
    """Return the type by a file's first bytes (4096 are enough); None for text, HTML, JSON."""
    for pattern, media in _SIGNATURES:
        if pattern.match(head):
            return media
    if head[4:8] == b"ftyp":
        return _by_brand(head)
    return SVG if _SVG_ROOT.match(_markup(head)) else None


def is_truncated(head: bytes, tail: bytes, size_bytes: int) -> bool:
    """Return whether a PNG or WebP lacks its end; False for other types.

    tail: the last bytes, at most TAIL_BYTES; some programs append a few bytes after the end.
    """
    media = sniff(head)
    if media == PNG:
        return b"IEND" not in tail
    if media != WEBP or head[4:8] == _RIFF_UNKNOWN:
        return False
    # Some writers count a byte of padding that they do not write.
    return size_bytes + 1 < _RIFF_HEADER + int.from_bytes(head[4:8], "little")


def received_type(head: bytes, content_type: str) -> MediaType | None:
    """Return the type of a received file: by its bytes, else by the type of headerless audio.

    content_type: the reply's header, or empty.
    """
    return sniff(head) or _HEADERLESS.get(content_type.partition(";")[0].strip().lower())


def generated_type(head: bytes, media_type: str) -> MediaType:
    """Return the type of a payload that was taken out of a reply or generated from it."""
    return _GENERATED.get(media_type) or sniff(head) or BINARY


def family_of(mime: str) -> Family:
    """Return the family of a MIME type such as `image/png`."""
    known = next((media for media in (*_GENERATED.values(), OBJ, GLB) if media.mime == mime), None)
    top = mime.partition("/")[0]
    return known.family if known else next((name for name in FAMILIES if name == top), "data")


def dimensions(file: BinaryIO, media: MediaType) -> Size | None:
    """Return width and height in pixels by the header, before any rotation by metadata.

    None for a type without dimensions and for malformed bytes. Reads a bounded part of the file,
    which must be seekable. For an SVG without absolute lengths the viewBox counts.
    """
    reader = _READERS.get(media)
    if reader is None:
        return None
    try:
        file.seek(0)
        width, height = reader(file) or (0, 0)
    except (struct.error, ValueError, LookupError, OverflowError):
        return None
    return (width, height) if 0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE else None


def _by_brand(head: bytes) -> MediaType:
    size = min(int.from_bytes(head[:4]), len(head))
    brands = {head[at : at + 4] for at in (8, *range(16, size - 3, 4))}
    return next((media for known, media in _BRANDS if known & brands), MP4)


def _markup(head: bytes) -> str:
    """Decode bytes that may be XML; the encoding follows from the byte order mark."""
    encoding = "utf-16" if head[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return head.decode(encoding, "replace")


def _unpack_at(file: BinaryIO, offset: int, layout: str) -> tuple[Any, ...]:
    """Unpack values at an offset; raise struct.error if the file ends before."""
    if offset > _MAX_OFFSET:
        raise ValueError(f"no header at {offset}")
    file.seek(offset)
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _png(file: BinaryIO) -> Size | None:
    kind, width, height = _unpack_at(file, 12, ">4sII")
    return (width, height) if kind == b"IHDR" else None


def _gif(file: BinaryIO) -> Size:
    width, height = _unpack_at(file, 6, "<HH")
    return width, height


def _bmp(file: BinaryIO) -> Size:
    (header_bytes,) = _unpack_at(file, 14, "<I")
    width, height = _unpack_at(file, 18, "<HH" if header_bytes == _DIB_SIZES[0] else "<ii")
    return width, abs(height)  # negative: rows from top to bottom


def _jpeg(file: BinaryIO) -> Size | None:
    """Walk the segments up to the frame header (ITU T.81, annex B)."""
    at = 2
    for _ in range(_MARKERS):
        prefix, marker = _unpack_at(file, at, ">BB")
        if prefix != _PREFIX or marker in _LAST:
            return None
        if marker in _FRAMES:
            height, width = _unpack_at(file, at + 5, ">HH")
            return width, height
        if marker == _PREFIX:  # padding
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + _unpack_at(file, at + 2, ">H")[0]
    return None


def _webp(file: BinaryIO) -> Size | None:
    """Read the first chunk, which has three kinds (RFC 9649): lossy, lossless, extended."""
    (kind,) = _unpack_at(file, 12, "4s")
    if kind == b"VP8X":
        low_width, high_width, low_height, high_height = _unpack_at(file, 24, "<HBHB")
        return (high_width << 16 | low_width) + 1, (high_height << 16 | low_height) + 1
    if kind == b"VP8L":
        signature, bits = _unpack_at(file, 20, "<cI")
        return ((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1) if signature == b"\x2f" else None
    start_code, width, height = _unpack_at(file, 23, "<3sHH")
    is_key_frame = kind == b"VP8 " and start_code == b"\x9d\x01\x2a"
    return (width & 0x3FFF, height & 0x3FFF) if is_key_frame else None


def _tiff(file: BinaryIO) -> Size:
    """Read tags 256 and 257 of the first directory (TIFF 6.0), in BigTIFF too."""
    order = "<" if file.read(2) == b"II" else ">"
    is_big = _unpack_at(file, 2, order + "H") == (43,)
    (directory,) = _unpack_at(file, 8, order + "Q") if is_big else _unpack_at(file, 4, order + "I")
    (count,) = _unpack_at(file, directory, order + ("Q" if is_big else "H"))
    first, entry_bytes, value = (directory + 8, 20, 12) if is_big else (directory + 2, 12, 8)
    numbers = {3: "H", 4: "I", 16: "Q"}
    sides: dict[int, int] = {}
    for at in range(first, first + min(count, _ENTRIES) * entry_bytes, entry_bytes):
        tag, kind = _unpack_at(file, at, order + "HH")
        if tag in {256, 257}:
            (sides[tag],) = _unpack_at(file, at + value, order + numbers[kind])
    return sides[256], sides[257]


def _heif(file: BinaryIO) -> Size:
    """Read the largest `ispe` property (ISO/IEC 23008-12): tiles and thumbnails are smaller."""
    content = _meta(file)[4:]  # version and flags
    for kind in (b"iprp", b"ipco"):
        content = next((inner for name, inner in _boxes(content) if name == kind), b"")
    sizes = (
        struct.unpack(">II", inner[4:12]) for name, inner in _boxes(content) if name == b"ispe"
    )
    width, height = max(sizes, key=lambda size: size[0] * size[1], default=(0, 0))
    return width, height


def _meta(file: BinaryIO) -> bytes:
    """Return the content of the file's `meta` box."""
    at = 0
    for _ in range(_BOXES):
        size, kind = _unpack_at(file, at, ">I4s")
        if kind == b"meta":
            return file.read(min(max(size - 8, 0), _META_BYTES))
        if size == 1:
            (size,) = _unpack_at(file, at + 8, ">Q")
        at += max(size, 8)
    return b""


def _boxes(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(content):
        size = max(int.from_bytes(content[at : at + 4]), 8)
        yield content[at + 4 : at + 8], content[at + 8 : at + size]
        at += size


def _svg(file: BinaryIO) -> Size | None:
    root = _SVG_ROOT.match(_markup(file.read(_SVG_BYTES)))
    if root is None:
        return None
    attributes = {name: a or b for name, a, b in _SVG_ATTRIBUTE.findall(root[1])}
    width, height = (_pixels(attributes.get(name, "")) for name in ("width", "height"))
    if width is None or height is None:
        view_box = attributes.get("viewBox", "").replace(",", " ").split(maxsplit=4)
        width, height = float(view_box[2]), float(view_box[3])
    return round(width), round(height)


def _pixels(length: str) -> float | None:
    match = _SVG_LENGTH.fullmatch(length[:_LENGTH_CHARACTERS])
    return float(match[1]) * _PIXELS[match[2] or "px"] if match else None


_READERS: dict[MediaType, Callable[[BinaryIO], Size | None]] = {
    PNG: _png,
    JPEG: _jpeg,
    WEBP: _webp,
    GIF: _gif,
    AVIF: _heif,
    HEIC: _heif,
    SVG: _svg,
    TIFF: _tiff,
    BMP: _bmp,
}
