"""A form with images to edit, read as the JSON body that the vendor's spec describes.

The rules for files are from the spec's descriptions (`POST /v1/images/edits`).
"""

from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage

from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.requests.schema import Json, Schema

_PNG = b"\x89PNG\r\n\x1a\n"
_BEGINNINGS = (_PNG, b"\xff\xd8\xff", b"RIFF")
_MOST_BYTES = 50 * 1024**2
_MOST_MASK_BYTES = 4 * 1024**2


def read_form(raw: bytes, content_type: str) -> dict[str, Json]:
    """Return the fields of a form by name; a file becomes an object with its size.

    Raise Rejection (400) if the form or a file in it is wrong.
    """
    head = f"Content-Type: {content_type}\r\n\r\n".encode("utf-8", "replace")
    form = message_from_bytes(head + raw, policy=policy.HTTP)
    if not content_type.lower().startswith("multipart/form-data") or not form.is_multipart():
        raise Rejection(400, "Body validation error: Expected multipart/form-data")
    fields: dict[str, Json] = {}
    for name, value in _parts(form):
        before = fields.get(name)
        if name in fields:
            fields[name] = [*before, value] if isinstance(before, list) else [before, value]
        else:
            fields[name] = value
    return fields


def typed(fields: dict[str, Json], schema: Schema) -> dict[str, Json]:
    """Return the fields with numbers if the schema has numbers: forms have only text."""
    return {name: _typed(value, schema.properties.get(name)) for name, value in fields.items()}


def _typed(value: Json, schema: Schema | None) -> Json:
    if schema is None or schema.type not in ("number", "integer") or not isinstance(value, str):
        return value
    return int(value) if value.isascii() and value.isdigit() else value


def _parts(form: EmailMessage) -> Iterator[tuple[str, Json]]:
    for part in form.iter_parts():
        name = str(part.get_param("name", "", header="content-disposition"))
        data = part.get_payload(decode=True)
        content = data if isinstance(data, bytes) else b""
        if part.get_filename() is None:
            yield name, content.decode("utf-8", "replace")
        else:
            name = name.removesuffix("[]")
            _check_file(name, content)
            yield name, {"bytes": len(content)}


def _check_file(name: str, content: bytes) -> None:
    if name == "mask" and (content[:8] != _PNG or len(content) > _MOST_MASK_BYTES):
        raise Rejection(400, "Body validation error: mask: Expected a PNG file under 4MB")
    if not content.startswith(_BEGINNINGS) or len(content) > _MOST_BYTES:
        raise Rejection(400, f"Body validation error: {name}: Expected a png, webp or jpg file")
