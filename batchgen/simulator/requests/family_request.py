"""A request to a family other than images, checked against the vendor's specs and parsed."""

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from email import message_from_bytes
from email.policy import HTTP

import msgspec

from batchgen.simulator.middleware import Asked
from batchgen.simulator.requests.family_specs import family_specs
from batchgen.simulator.requests.rejection import REFUSED, Rejection
from batchgen.simulator.requests.schema import Json, Schema, problems
from batchgen.simulator.signed_urls import PREFIX, Links

_TEXTS = ("prompt", "text", "script", "lyrics", "input", "messages")
_FILES = ("audio", "file")
_REFERENCES = frozenset({"refer_voice", "refer_instrumental"})
_IN_PROSE = {"/v1/stt/create": frozenset({"url"})}
_BEGINNINGS = {
    "image/png": b"\x89PNG\r\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "audio/wav": b"RIFF",
}
_DEEPEST = 6
_LEAST_FILE_BYTES = 12


class FamilyRequest(msgspec.Struct, frozen=True):
    """A valid request; `params` are its fields with the spec's defaults.

    file: hash of the uploaded file, or empty.
    """

    path: str
    model: str
    text: str
    params: Mapping[str, Json]
    file: str = ""


def read_family_request(
    path: str, asked: Asked, *, links: Links, refuse_words: frozenset[str] = frozenset()
) -> FamilyRequest:
    """Parse a request. Raise Rejection (400), whose message says what is wrong."""
    body, file = _body(asked)
    model = body.pop("model", "")
    known = family_specs().get(path, {})
    if not isinstance(model, str) or (known and model not in known):
        raise Rejection(400, f"Body validation error: model: Unknown model {model!r:.200}")
    schema = known.get(model, Schema())
    # The pages of 2025-05 on transcription have `url` in their prose but not in the schema.
    in_prose = _IN_PROSE.get(path, frozenset()) - schema.properties.keys()
    worded = {name: value for name, value in body.items() if name not in in_prose}
    if wrong := list(problems(worded, schema, "")):
        raise Rejection(400, f"Body validation error: {'; '.join(wrong)}")
    _check_files(body, links)
    if missing := _missing(path, body, file):
        raise Rejection(400, f"Body validation error: {missing}")
    defaults = {name: inner.default for name, inner in schema.properties.items()}
    given = {name: value for name, value in body.items() if value is not None}
    text = next((_text(given[name]) for name in _TEXTS if name in given), "")
    if any(word in text.lower() for word in refuse_words):
        raise Rejection(400, REFUSED, code="content_policy_violation")
    params: dict[str, Json] = {name: _json(value) for name, value in defaults.items()}
    digest = hashlib.blake2b(file, digest_size=8).hexdigest() if file else ""
    return FamilyRequest(path, model, text, {**params, **given}, digest)


def _missing(path: str, body: Mapping[str, Json], file: bytes) -> str:
    """Return a problem with a rule that the vendor's pages add to the schemas, or an empty text."""
    match path:
        case "/v1/stt/create" if not (file or body.get("url")):
            return "url: Required, or a file as `audio`"
        case "/v2/generate/audio/minimax/upload" if not file:
            return "file: Required"
        case "/v2/generate/audio/minimax/generate" if not body.keys() & _REFERENCES:
            return "refer_voice: at least one of refer_voice or refer_instrumental is required"
        case "/v1/ocr" if _is_bare(body.get("document")) and not body.get("mimeType"):
            return "mimeType: Required for base64"
        case _:
            return ""


def _is_bare(document: Json) -> bool:
    return isinstance(document, str) and "://" not in document[:20]


def _json(default: object) -> Json:
    return default if isinstance(default, bool | int | float | str) else None


def _text(value: Json) -> str:
    match value:
        case str():
            return value
        case list():
            return "\n".join(filter(None, map(_text, value)))
        case {"content": content}:
            return _text(content)
        case {"text": str(text)}:
            return text
        case _:
            return ""


def _body(asked: Asked) -> tuple[dict[str, Json], bytes]:
    if asked.content_type.startswith("multipart/form-data"):
        return _form(asked)
    try:
        body = json.loads(asked.raw)
    except (ValueError, RecursionError) as error:
        raise Rejection(400, f"Body validation error: the body is not JSON: {error}") from error
    if not isinstance(body, dict):
        raise Rejection(400, "Body validation error: Expected object")
    return body, b""


def _form(asked: Asked) -> tuple[dict[str, Json], bytes]:
    """Return the fields and the file of a form; a field that is not JSON is text."""
    head = f"Content-Type: {asked.content_type}\r\n\r\n".encode()
    message = message_from_bytes(head + asked.raw, policy=HTTP)
    fields: dict[str, Json] = {}
    file = b""
    for part in message.iter_parts():
        name = str(part.get_param("name", "", header="content-disposition"))
        content = part.get_payload(decode=True)
        data = content if isinstance(content, bytes) else b""
        if part.get_filename() is None:
            fields[name] = _field(data.decode())
        elif name in _FILES and len(data) >= _LEAST_FILE_BYTES:
            file = data
        else:
            raise Rejection(400, f"Body validation error: {name}: Expected an audio file")
    return fields, file


def _field(text: str) -> Json:
    try:
        value: Json = json.loads(text)
    except ValueError:
        return text
    return value


def _check_files(value: Json, links: Links, depth: int = 0) -> None:
    """Decode every `data:` URL, and look up every URL of the simulator itself."""
    match value:
        case str() if value.startswith("data:"):
            head, comma, encoded = value.partition(",")
            _decode(encoded, head) if comma else None
        case str() if links.origin and value.startswith(links.origin + PREFIX):
            if links.thing_at(value.removeprefix(links.origin)) is None:
                raise Rejection(400, f"Body validation error: no file at {value:.120}")
        case list() if depth < _DEEPEST:
            for item in value:
                _check_files(item, links, depth + 1)
        case dict() if depth < _DEEPEST:
            for item in value.values():
                _check_files(item, links, depth + 1)
        case _:
            return


def _decode(encoded: str, head: str) -> None:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Rejection(400, f"Body validation error: {head[:40]} is not base64") from error
    if len(data) < _LEAST_FILE_BYTES:
        raise Rejection(400, f"Body validation error: {head[:40]} holds no file")
    begins = _BEGINNINGS.get(head.removeprefix("data:").partition(";")[0], b"")
    if not data.startswith(begins):
        raise Rejection(400, f"Body validation error: {head[:40]} holds a file of another type")
