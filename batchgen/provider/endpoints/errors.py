"""The error code and message in error bodies of any shape.

The vendor documents `{message, path, requestId, statusCode, timestamp}`
(https://docs.aimlapi.com, "Errors and messages"); validators add lists of issues, the
OpenAI-compatible layer `{error: {message, type, param, code}}`, FastAPI `detail`, gateways HTML
or nothing. The message is for people and goes into the ledger and the results, so it is one line
of limited length without keys.
"""

import html
import json
import re
from collections.abc import Iterator
from typing import cast

import msgspec

from batchgen.text import one_line
from batchgen.types import HttpResponse, Json

MESSAGE_WIDTH = 500
_CODE_WIDTH = 100
_HEAD = 8 * MESSAGE_WIDTH  # characters of a text that are read; `one_line` reads no more either
_MAX_ISSUES = 5
_MAX_DEPTH = 6

_TITLE = re.compile(r"<title[^>]{0,200}>(.{1,500}?)</title", re.IGNORECASE | re.DOTALL)
_HIDDEN = re.compile(
    r"<(script|style|head)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.IGNORECASE | re.DOTALL
)
_TAG = re.compile(r"<[^<>]*>")
_SECRETS = (
    re.compile(r"(?P<before>\bbearer\s+)[^\s\"',;]{6,}", re.IGNORECASE),
    re.compile(r"(?P<before>\bsk-)[\w*.-]{3,}"),
    # "Incorrect API key provided: 0123abcd": the vendor's own keys have no recognisable prefix.
    re.compile(
        r"(?P<before>\b(?:api[ _-]?key|token|secret|authorization)[\w \\\"']{0,20}[:=]"
        r"\s*[\\\"']{0,4})(?!bearer\b|sk-)[\w*.+/-]{8,}",
        re.IGNORECASE,
    ),
)

# Phrases that only a content filter uses. Names of request parameters ("enable_safety_checker",
# "safety_tolerance", "moderation") are not among them: validators quote those in plain 400s.
REFUSAL_WORDS = (
    "content_policy",
    "content policy",
    "content policies",
    "content_filter",
    "moderation_blocked",
    "blocked by moderation",
    "blocked by our moderation",
    "flagged by moderation",
    "flagged by our",
    "content moderation",
    "moderation system",
    "safety system",
    "safety filter",
    "usage policies",
    "content_violation",
    "content violation",
    "nsfw content",
    "nsfw_content",
    "sensitive content",
    "sensitivecontent",
    "inappropriate content",
    "inappropriatecontent",
    "prohibited content",
    "prohibited_content",
)


class ProviderError(msgspec.Struct, frozen=True):
    """The provider's error code and its message (at most 500 characters)."""

    code: str | None
    message: str


def read_error(response: HttpResponse) -> ProviderError:
    """Return the error in a reply, whatever its shape; never raise an error."""
    try:
        value = read_json(response.body)
    except ValueError:
        return ProviderError(None, _body_text(response))
    error = find_error(value)
    return ProviderError(error.code, error.message or _body_text(response))


def find_error(value: Json) -> ProviderError:
    """Find code and message in a JSON value; the message is empty if there is none."""
    return ProviderError(_code(value), _first(_messages(value)))


def is_refusal(error: ProviderError) -> bool:
    """Return whether the error is a refusal by a content filter, judged by its words."""
    text = f"{error.code or ''}\n{error.message}".casefold()
    return any(word in text for word in REFUSAL_WORDS)


def read_json(body: bytes) -> Json:
    """Parse a JSON body. Raise ValueError if it is not JSON."""
    try:
        return cast("Json", msgspec.json.decode(body))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # a byte order mark, NaN or half a surrogate pair: read below
    try:
        return _read_leniently(body)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def _read_leniently(body: bytes) -> Json:
    value: Json
    try:
        value = json.loads(body)
    except UnicodeDecodeError:  # some text beside the image is not in UTF-8
        value = json.loads(body.decode("utf-8", "replace"))
    return value


def sanitize(text: str, width: int = MESSAGE_WIDTH) -> str:
    """Return a provider's text as one bounded line without control characters and keys."""
    head = text[:_HEAD]
    for secret in _SECRETS:
        head = secret.sub(r"\g<before>***", head)
    return one_line(head, width)


def _messages(value: Json) -> Iterator[str]:
    """Yield the messages in a body, the most likely one first."""
    match value:
        case str():
            yield sanitize(value)
        case [first, *_]:
            yield from _messages(first) if isinstance(first, dict) else [sanitize(_text_of(value))]
        case dict():
            yield sanitize(_with_issues(value))
            for key in ("error", "detail", "errors", "issues", "error_description", "title"):
                yield sanitize(_text_of(value.get(key)))
        case _:
            return


def _with_issues(body: dict[str, Json]) -> str:
    """Return the message with a validator's issues: "Body validation error: n: too big"."""
    parts = (_text_of(body.get("message")), _text_of(body.get("issues") or body.get("errors")))
    return ": ".join(part for part in parts if part) if parts[0] else ""


def _text_of(value: Json, depth: int = 0) -> str:
    """Return the text of a message, which may be a string, a list of issues or an object."""
    match value:
        case str():
            return value[:_HEAD].strip()
        case list() if depth < _MAX_DEPTH:
            issues = (_issue(item, depth + 1) for item in value[:_MAX_ISSUES])
            return "; ".join(issue for issue in issues if issue)
        case dict() if depth < _MAX_DEPTH:
            keys = ("message", "msg", "detail", "error", "reason", "title", "issues", "errors")
            return _first(_text_of(value.get(key), depth + 1) for key in keys)
        case _:
            return ""


def _issue(issue: Json, depth: int) -> str:
    """Return an issue with the field that it is about: FastAPI's `loc`, zod's `path`."""
    text = _text_of(issue, depth)
    location = (issue.get("loc") or issue.get("path")) if isinstance(issue, dict) else None
    names = location if isinstance(location, list) else [location]
    field = ".".join(str(part) for part in names if isinstance(part, str | int) and part != "body")
    return f"{field}: {text}" if field and text else text


def _code(value: Json) -> str | None:
    match value:
        case [first, *_] if isinstance(first, dict):
            return _code(first)
        case dict():
            outer = _code_of(value, "code", "error_code", "name")  # `type` may be a problem's URL
            nested = (value.get("error"), value.get("detail"))
            inner = (_code_of(source, "code", "type", "name") for source in nested)
            return next((code for code in (*inner, outer) if code), None)
        case _:
            return None


def _code_of(source: Json, *keys: str) -> str | None:
    if not isinstance(source, dict):
        return None
    for key in keys:
        code = source.get(key)
        if isinstance(code, int) and not isinstance(code, bool):
            code = str(code)
        if isinstance(code, str) and code.strip():
            return sanitize(code, _CODE_WIDTH)
    return None


def _body_text(response: HttpResponse) -> str:
    """Return the text of a body without a known shape: an HTML page's title, else its text."""
    text = response.body[: 4 * _HEAD].decode("utf-8", "replace").lstrip("\ufeff \t\r\n")
    if text.startswith("<"):
        title = _TITLE.search(text)
        text = title[1] if title else _TAG.sub(" ", _HIDDEN.sub(" ", text))
        text = html.unescape(text)
    return sanitize(text) or f"HTTP {response.status} without a body"


def _first(texts: Iterator[str]) -> str:
    return next((text for text in texts if text), "")
