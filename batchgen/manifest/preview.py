"""Request bodies as `plan` and `plan --json` show them: files are described, not read."""

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


def preview_body(body: Mapping[str, Input], *, multipart: bool = False) -> dict[str, Json]:
    """Return a body as JSON; a text in `<…>` describes each file, upload and reference.

    multipart: the body is sent as a form, so its files are not base64.
    """
    return {name: _preview(value, multipart=multipart) for name, value in body.items()}


def _preview(value: Input, *, multipart: bool) -> Json:
    match value:
        case LocalFile():
            encoding = value.media_type if multipart else f"data:{value.media_type};base64"
            return _describe_file(encoding, value)
        case Base64(file):
            return _describe_file("base64", file)
        case UploadId() | Reference():
            return _describe_pending(value)
        case tuple():
            return [_preview(item, multipart=multipart) for item in value]
        case dict():
            return preview_body(value, multipart=multipart)
        case _:
            return value  # type: ignore[return-value]  # only plain JSON is left


def _describe_pending(value: UploadId | Reference) -> str:
    if isinstance(value, UploadId):
        return f"<{value.name} of the upload>"
    return f"<file {value.n} of {one_line(value.source, 120)}>"


def _describe_file(encoding: str, file: LocalFile) -> str:
    return f"<{encoding} … {show_bytes(file.size_bytes)} of {one_line(file.name, 120)}>"
