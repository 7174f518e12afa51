"""Bodies that are a file themselves, and files that end early."""

import io
import re
from pathlib import Path

from msgspec.structs import replace

from batchgen.errors import write_error
from batchgen.media.completeness import cut_reason
from batchgen.media.formats import sniff
from batchgen.types import Spooled

_TOP_TYPES = ("image/", "video/", "audio/", "model/")
_FILE_TYPES = frozenset({"application/octet-stream", "binary/octet-stream", "application/pdf"})
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[\[{\"\]])")
_WIDE_JSON = re.compile(rb"(?:\xff\xfe|\xfe\xff)?\0{0,3}[{\[\"]\0")  # in UTF-16 or UTF-32
_MARKUP = re.compile(rb"(?:\xef\xbb\xbf)?\s*<(?!svg\b)", re.IGNORECASE)
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def is_file(content_type: str, head: bytes) -> bool:
    """Return whether the body of a reply is a file and not text that describes one.

    The bytes decide before the header: gateways label JSON as a picture and pictures as JSON.
    head: the first bytes, 64 are enough.
    """
    if not head or _JSON.match(head) or _WIDE_JSON.match(head):
        return False
    if sniff(head) is not None or head.lstrip().startswith(b"<svg"):
        return True
    mime = content_type.partition(";")[0].strip().lower()
    is_named = mime.startswith(_TOP_TYPES) or mime in _FILE_TYPES
    if _MARKUP.match(head):
        return is_named and "svg" in mime
    return is_named or _CONTROL.search(head) is not None


def checked_file(payload: Spooled) -> Spooled:
    """Return the payload, with the reason if the file ends early. Raises StorageError."""
    media = sniff(payload.head)
    if media is None:
        return payload
    if payload.data is not None:
        cut = cut_reason(io.BytesIO(payload.data), media, payload.size_bytes)
    else:
        try:
            with Path(payload.path).open("rb") as file:
                cut = cut_reason(file, media, payload.size_bytes)
        except OSError as error:
            raise write_error(payload.path, error) from error
    return replace(payload, cut=cut) if cut else payload
