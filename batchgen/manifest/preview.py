"""Request bodies as the bytes that go over the wire, files still in their places as files.

A body is a sequence of pieces: bytes as they are, and files that whoever sends it reads while
sending. Its length is known beforehand. Multipart is RFC 7578; `data:` URLs are RFC 2397.
"""

from collections.abc import Mapping

from batchgen.text import one_line, show_bytes
from batchgen.types import (
    Base64,
    Input,
    Json,
    LocalFile,
    Reference,
    UploadId,
)


def shown(body: Mapping[str, Input], *, multipart: bool = False) -> dict[str, Json]:
    """A body for people: each file told by its type, size and name, or by whose it will be."""
    return {name: _told(value, multipart=multipart) for name, value in body.items()}


def _told(value: Input, *, multipart: bool) -> Json:
    match value:
        case LocalFile():
            lead = value.media_type if multipart else f"data:{value.media_type};base64"
            return _told_file(lead, value)
        case Base64(file):
            return _told_file("base64", file)
        case UploadId() | Reference():
            return _told_place(value)
        case tuple():
            return [_told(one, multipart=multipart) for one in value]
        case dict():
            return shown(value, multipart=multipart)
        case _:
            return value  # type: ignore[return-value]  # plain JSON is left


def _told_file(lead: str, file: LocalFile) -> str:
    return f"<{lead} … {show_bytes(file.size_bytes)} of {one_line(file.name, 120)}>"


def _told_place(value: UploadId | Reference) -> str:
    if isinstance(value, UploadId):
        return f"<{value.name} of the upload>"
    return f"<file {value.n} of {one_line(value.source, 120)}>"
