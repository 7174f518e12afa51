"""Request bodies: JSON objects, and forms with files."""

import json
from collections.abc import Iterator
from email import message_from_bytes, policy

import msgspec

from batchgen.simulator.requests.rejection import invalid_body
from batchgen.simulator.requests.schema import Json, JsonObject

MIN_FILE_BYTES = 12
_PNG = b"\x89PNG\r\n\x1a\n"
_IMAGE_BEGINNINGS = (_PNG, b"\xff\xd8\xff", b"RIFF")
_MAX_IMAGE_BYTES = 50 * 1024**2
_MAX_MASK_BYTES = 4 * 1024**2
_AUDIO_FIELDS = ("audio", "file")


class _Part(msgspec.Struct, frozen=True):
    """A part of a form."""

    name: str
    content: bytes
    is_file: bool

    @property
    def text(self) -> str:
        return self.content.decode("utf-8", "replace")


def is_form(content_type: str) -> bool:
    """Return whether a body is a form."""
    return content_type.lower().startswith("multipart/form-data")


def read_json(raw: bytes) -> JsonObject:
    """Return the object of a JSON body. Raise Rejection (400) if it is not an object."""
    try:
        body = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise invalid_body(f"the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise invalid_body("Expected object")
    return body


def read_audio_form(raw: bytes, content_type: str) -> tuple[JsonObject, bytes]:
    """Return the fields of a form and its file, if it has one; a field that is not JSON is text.

    Raise Rejection (400) if the file is under another name or empty.
    """
    fields: JsonObject = {}
    file = b""
    for part in _parts(raw, content_type):
        if not part.is_file:
            fields[part.name] = _json_or_text(part.text)
        elif part.name in _AUDIO_FIELDS and len(part.content) >= MIN_FILE_BYTES:
            file = part.content
        else:
            raise invalid_body(f"{part.name}: Expected an audio file")
    return fields, file


def read_image_form(raw: bytes, content_type: str) -> JsonObject:
    """Return the fields of a form with images to edit, as the vendor's spec describes them.

    A file becomes an object with its size; fields of the same name become a list. Raise Rejection
    (400) if the body is not a form or a file breaks a rule of the spec's descriptions
    (`POST /v1/images/edits`).
    """
    if not is_form(content_type):
        raise invalid_body("Expected multipart/form-data")
    fields: JsonObject = {}
    for part in _parts(raw, content_type):
        name = part.name
        value: Json = part.text
        if part.is_file:
            name = name.removesuffix("[]")
            _check_image(name, part.content)
            value = {"bytes": len(part.content)}
        earlier = fields.get(name)
        if name in fields:
            fields[name] = [*earlier, value] if isinstance(earlier, list) else [earlier, value]
        else:
            fields[name] = value
    return fields


def _parts(raw: bytes, content_type: str) -> Iterator[_Part]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "replace")
    form = message_from_bytes(head + raw, policy=policy.HTTP)
    if not form.is_multipart():
        raise invalid_body("Expected multipart/form-data")
    for part in form.iter_parts():
        name = str(part.get_param("name", "", header="content-disposition"))
        content = part.get_payload(decode=True)
        is_file = part.get_filename() is not None
        yield _Part(name, content if isinstance(content, bytes) else b"", is_file)


def _check_image(name: str, content: bytes) -> None:
    if name == "mask" and (content[:8] != _PNG or len(content) > _MAX_MASK_BYTES):
        raise invalid_body("mask: Expected a PNG file under 4MB")
    if not content.startswith(_IMAGE_BEGINNINGS) or len(content) > _MAX_IMAGE_BYTES:
        raise invalid_body(f"{name}: Expected a png, webp or jpg file")


def _json_or_text(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value
