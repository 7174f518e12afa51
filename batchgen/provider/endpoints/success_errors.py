"""Errors inside 2xx replies, and the shapes of 2xx replies without a result. Pure.

Gateways pass errors on with status 200: `{error: {code: 502}}`, `{code: 30001, msg}`, `{base_resp:
{status_code: 1008}}`, `{success: false}`.
"""

from collections.abc import Iterator, Mapping

from msgspec.structs import replace

from batchgen.provider.endpoints.error_fields import codes_of
from batchgen.provider.endpoints.errors import ProviderError, find_error, read_json
from batchgen.provider.endpoints.refusals import REFUSAL
from batchgen.types import HttpResponse, Json

_FINE_WORDS = frozenset(
    {"", "0", "ok", "success", "succeeded", "successful", "none", "null", "200"}
)
_FINE_NUMBERS = frozenset({0, 1, *range(100, 400), 1000, 10000, 20000, 200000})
_FAILED = frozenset({"fail", "failed", "failure", "error", "cancelled", "canceled", "rejected"})
_BESIDE_NOTHING = frozenset(
    {
        *("data", "images", "created", "created_at", "model", "object", "usage", "meta", "id"),
        *("code", "success", "message", "msg", "status", "request_id", "error", "background"),
        *("output_format", "quality", "size"),
    }
)


def find_success_error(response: HttpResponse) -> ProviderError | None:
    """Return the error that a 2xx reply reports; None if it reports none."""
    try:
        value = read_json(response.body)
    except ValueError:
        return None
    body = value[0] if isinstance(value, list) and value else value
    if not isinstance(body, dict):
        return None
    places = [body, *_inner_objects(body)]
    found = next((place for place in places if _reports_error(place)), None)
    if found is None and not _is_filtered(value):
        return None
    error = find_error(value if found in (None, body) else found)
    return replace(error, message=error.message or "an error without a message")


def _inner_objects(body: Mapping[str, Json]) -> Iterator[dict[str, Json]]:
    """Yield the objects in which gateways put the state of a task."""
    for key in ("data", "output", "task", "result", "response"):
        inner = body.get(key)
        inner = inner[0] if isinstance(inner, list) and inner else inner
        if isinstance(inner, dict):
            yield inner


def shape_of(response: HttpResponse) -> str:
    """Return why a 2xx reply may have no result.

    `empty`: a list without items and nothing beside it. `web_page`: HTML. `broken`: no body, or
    JSON that does not end. `unknown`: whole, and without anything that can be used.
    """
    text = response.body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        return "unknown" if response.payloads else "broken"
    if text.startswith(b"<"):
        return "web_page" if _is_html(text) else "unknown"
    try:
        value = read_json(response.body)
    except ValueError:
        return "broken" if text.startswith((b"{", b"[", b'"')) else "unknown"
    return "empty" if _is_empty(value) else "unknown"


def _is_html(text: bytes) -> bool:
    head = text[:1024].lower()
    return any(
        mark in head for mark in (b"<!doctype html", b"<html", b"<head", b"<body", b"<title")
    )


def _is_empty(value: Json) -> bool:
    if value == []:
        return True
    if not isinstance(value, dict) or not value.keys() <= _BESIDE_NOTHING:
        return False
    lists = [value[key] for key in ("data", "images") if key in value]
    return bool(lists) and all(found in ([], None) for found in lists)


def _reports_error(body: Mapping[str, Json]) -> bool:
    """Return whether a JSON object reports an error, by its fields."""
    return (
        any(_is_error(body.get(key)) for key in ("error", "errors", "Error"))
        or _has_bad_code(body)
        or body.get("success") is False
        or any(
            isinstance(state := body.get(key), str) and state.strip().casefold() in _FAILED
            for key in ("status", "state", "task_status", "taskStatus")
        )
    )


def _is_error(value: Json) -> bool:
    match value:
        case None | False | [] | 0:
            return False
        case str():
            return value.strip().casefold() not in _FINE_WORDS
        case dict():
            codes = (value.get("code"), value.get("message"), value.get("type"))
            return bool(value) and not all(_is_fine(code) for code in codes)
        case _:
            return True


def _is_fine(code: Json) -> bool:
    match code:
        case None | bool():
            return True
        case int():
            return code in _FINE_NUMBERS
        case str():
            text = code.strip().casefold()
            return text in _FINE_WORDS or (text.isdigit() and int(text) in _FINE_NUMBERS)
        case _:
            return False


def _has_bad_code(body: Mapping[str, Json]) -> bool:
    """Read `{code, msg}` of gateways, and `base_resp` of MiniMax."""
    base = body.get("base_resp")
    if isinstance(base, dict):
        return base.get("status_code") not in (None, 0, "0")
    for key in ("code", "errcode", "err_code", "error_code", "status_code", "statusCode"):
        if key in body and not _is_fine(body[key]):
            return any(
                isinstance(text := body.get(name), str) and text.strip()
                for name in ("msg", "message", "error_msg", "errmsg", "err_msg", "detail")
            ) or isinstance(body[key], int)
    return False


def _is_filtered(value: Json) -> bool:
    """Return whether a filter has taken out the results, by codes, reasons and flags."""
    return REFUSAL.has_code(codes_of(value))
