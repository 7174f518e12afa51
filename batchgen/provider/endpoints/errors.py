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
from msgspec.structs import replace

from batchgen.provider.endpoints.error_fields import codes_of, inner_status
from batchgen.provider.endpoints.refusals import REFUSAL
from batchgen.provider.endpoints.topics import plain_text
from batchgen.text import one_line
from batchgen.types import HttpResponse, Json

MESSAGE_WIDTH = 500
_CODE_WIDTH = 100
_HEAD = 8 * MESSAGE_WIDTH  # characters of a text that are read; `one_line` reads no more either
_MAX_ISSUES = 5
_MAX_DEPTH = 6

_TEXT_KEYS = (
    *("message", "msg", "status_msg", "detail", "error", "reason", "description", "title"),
    *("issues", "errors", "raw"),
)
_MESSAGE_KEYS = (
    *("error", "detail", "errors", "issues", "error_description", "base_resp", "msg", "title"),
    *("raiFilteredReason", "failure", "failure_reason", "error_message", "errorMessage", "Message"),
    *("promptFeedback", "result", "task_status_msg", "fail_reason", "failReason", "failMsg"),
)
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


class ProviderError(msgspec.Struct, frozen=True):
    """The provider's error code and its message (at most 500 characters).

    codes: all codes of the body, by which the error is judged. status: the HTTP status that the
    body itself gives.
    """

    code: str | None
    message: str
    codes: tuple[str, ...] = ()
    status: int | None = None


def read_error(response: HttpResponse) -> ProviderError:
    """Return the error in a reply, whatever its shape; never raise an error."""
    try:
        value = read_json(response.body)
    except ValueError:
        return ProviderError(None, _body_text(response))
    error = find_error(value)
    return replace(error, message=error.message or _body_text(response))


def find_error(value: Json) -> ProviderError:
    """Find code and message in a JSON value; the message is empty if there is none."""
    codes = tuple(sanitize(code, _CODE_WIDTH) for code in codes_of(value))
    message = _with_reasons(_first(_messages(value)), value)
    return ProviderError(_telling(_code(value), codes), message, codes, inner_status(value))


def is_refusal(error: ProviderError) -> bool:
    """Return whether the error is a refusal by a content filter, by its codes and its words."""
    codes = error.codes or ((error.code,) if error.code else ())
    return REFUSAL.has_code(codes) or REFUSAL.has_words(plain_text(error.message))


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


def _with_reasons(message: str, value: Json) -> str:
    """Add what explains a message that says little: details, violations, a wrapped error."""
    parts = [message, *(text for text in _reasons(value) if text not in message)]
    return sanitize("; ".join(part for part in dict.fromkeys(parts) if part))


def _reasons(value: Json) -> Iterator[str]:
    """Yield the texts in `details` (Google), `metadata` (OpenRouter) and inner errors (Azure)."""
    body = value[0] if isinstance(value, list) and value else value
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return
    metadata = error.get("metadata")
    if isinstance(metadata, dict):
        yield sanitize(_wrapped(metadata.get("raw")))
        reasons = metadata.get("reasons")
        if isinstance(reasons, list):
            yield sanitize(", ".join(reason for reason in reasons if isinstance(reason, str)))
    for key in ("details", "inner_error", "innererror"):
        yield sanitize(_details(error.get(key)))


def _wrapped(raw: Json) -> str:
    """Return the message of an error that a gateway passes on, as text or JSON."""
    if not isinstance(raw, str):
        return _text_of(raw)
    try:
        inner = read_json(raw.encode())
    except ValueError:
        return raw
    return _first(_messages(inner)) if isinstance(inner, dict | list) else raw


def _details(details: Json) -> str:
    """Return the texts of a list of details: descriptions with their fields, reasons, messages."""
    items = details if isinstance(details, list) else [details]
    return "; ".join(text for item in items[:_MAX_ISSUES] for text in _detail(item) if text)


def _detail(item: Json) -> Iterator[str]:
    if isinstance(item, str):
        yield item
    if not isinstance(item, dict):
        return
    for key in ("message", "description", "reason", "detail"):
        text = item.get(key)
        if isinstance(text, str):
            yield text
    for key in ("fieldViolations", "violations", "field_violations"):
        violations = item.get(key)
        for violation in violations[:_MAX_ISSUES] if isinstance(violations, list) else ():
            if isinstance(violation, dict):
                parts = (violation.get(name) for name in ("field", "subject", "description"))
                yield ": ".join(part for part in parts if isinstance(part, str))


def _telling(code: str | None, codes: tuple[str, ...]) -> str | None:
    """Return a code in words if there is one beside a number such as 400."""
    if code is None or not code.isdigit():
        return code
    words = [word for word in codes if not word.isdigit() and _WORDS.fullmatch(word)]
    return next((word for word in words if word not in _VAGUE), words[0] if words else code)


_WORDS = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{2,80}")
_VAGUE = frozenset({"error", "INVALID_ARGUMENT", "invalid_request_error", "api_error", "failed"})


def _messages(value: Json) -> Iterator[str]:
    """Yield the messages in a body, the most likely one first."""
    match value:
        case str():
            yield sanitize(value)
        case [first, *_]:
            yield from _messages(first) if isinstance(first, dict) else [sanitize(_text_of(value))]
        case dict():
            yield sanitize(_with_issues(value))
            for key in _MESSAGE_KEYS:
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
            found = _first(_text_of(value.get(key), depth + 1) for key in _TEXT_KEYS)
            return found or "; ".join(_issues_by_field(value))
        case _:
            return ""


def _issues_by_field(value: dict[str, Json]) -> Iterator[str]:
    """Yield the issues of `{"prompt": ["is too long"]}`, as Rails writes them."""
    for field, issues in list(value.items())[:_MAX_ISSUES]:
        texts = issues if isinstance(issues, list) else []
        lines = [text for text in texts[:_MAX_ISSUES] if isinstance(text, str)]
        if lines:
            yield f"{field}: {', '.join(lines)}"


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
