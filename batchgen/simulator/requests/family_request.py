"""A request to a family other than images, checked against the vendor's specs and parsed."""

import base64
import binascii
import hashlib
from collections.abc import Mapping

import msgspec

from batchgen.simulator.digests import number_of
from batchgen.simulator.requests.body import MIN_FILE_BYTES, is_form, read_audio_form, read_json
from batchgen.simulator.requests.rejection import check_prompt, invalid_body
from batchgen.simulator.requests.schema import Json, JsonObject, Schema, problems
from batchgen.simulator.requests.specs import family_specs
from batchgen.simulator.signed_urls import PREFIX, SignedUrls

_TEXT_FIELDS = ("prompt", "text", "script", "lyrics", "input", "messages")
_REFERENCES = frozenset({"refer_voice", "refer_instrumental"})
# Fields that the pages of 2025-05 describe, but that are not in their schemas.
_IN_PROSE = {"/v1/stt/create": frozenset({"url"})}
_BEGINNINGS = {
    "image/png": b"\x89PNG\r\n",
    "image/jpeg": b"\xff\xd8\xff",
    "image/gif": b"GIF8",
    "image/webp": b"RIFF",
    "audio/wav": b"RIFF",
}
_MAX_DEPTH = 6


class FamilyRequest(msgspec.Struct, frozen=True):
    """A valid request; `params` are its fields with the spec's defaults.

    file: hash of the uploaded file, or empty.
    """

    path: str
    model: str
    text: str
    params: Mapping[str, Json]
    file: str = ""

    @property
    def look(self) -> int:
        """A number that the request determines, for a generated file."""
        return number_of(f"{self.model}\n{self.text}\n{sorted(self.params)}")


def read_family_request(
    path: str,
    raw: bytes,
    content_type: str,
    *,
    urls: SignedUrls,
    refuse_words: frozenset[str] = frozenset(),
) -> FamilyRequest:
    """Parse a request. Raise Rejection (400), whose message lists all problems."""
    body, file = (
        read_audio_form(raw, content_type) if is_form(content_type) else (read_json(raw), b"")
    )
    model = body.pop("model", "")
    schemas = family_specs().get(path, {})
    if not isinstance(model, str) or (schemas and model not in schemas):
        raise invalid_body(f"model: Unknown model {model!r:.200}")
    schema = schemas.get(model, Schema())
    in_prose = _IN_PROSE.get(path, frozenset()) - schema.properties.keys()
    in_schema = {name: value for name, value in body.items() if name not in in_prose}
    if messages := list(problems(in_schema, schema, "")):
        raise invalid_body("; ".join(messages))
    _check_files(body, urls)
    if message := _missing(path, body, file):
        raise invalid_body(message)
    present = {name: value for name, value in body.items() if value is not None}
    text = next((_text(present[name]) for name in _TEXT_FIELDS if name in present), "")
    check_prompt(text, refuse_words)
    params: JsonObject = {name: inner.default for name, inner in schema.properties.items()}
    digest = hashlib.blake2b(file, digest_size=8).hexdigest() if file else ""
    return FamilyRequest(path, model, text, {**params, **present}, digest)


def _missing(path: str, body: Mapping[str, Json], file: bytes) -> str:
    """Return what is missing by rules that only the vendor's pages have; empty if nothing is."""
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


def _check_files(value: Json, urls: SignedUrls, depth: int = 0) -> None:
    """Decode every `data:` URL, and look up every URL of the simulator itself."""
    match value:
        case str() if value.startswith("data:") and "," in value:
            head, _, encoded = value.partition(",")
            _check_inline_file(encoded, head)
        case str() if urls.origin and value.startswith(urls.origin + PREFIX):
            if urls.file_at(value.removeprefix(urls.origin)) is None:
                raise invalid_body(f"no file at {value:.120}")
        case list() | dict() if depth < _MAX_DEPTH:
            for item in value.values() if isinstance(value, dict) else value:
                _check_files(item, urls, depth + 1)
        case _:
            return


def _check_inline_file(encoded: str, head: str) -> None:
    try:
        data = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid_body(f"{head[:40]} is not base64") from error
    if len(data) < MIN_FILE_BYTES:
        raise invalid_body(f"{head[:40]} holds no file")
    beginning = _BEGINNINGS.get(head.removeprefix("data:").partition(";")[0], b"")
    if not data.startswith(beginning):
        raise invalid_body(f"{head[:40]} holds a file of another type")
