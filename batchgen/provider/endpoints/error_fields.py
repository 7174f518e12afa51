"""The codes and the inner status of an error body, wherever providers put them. Pure.

`code`, `type`, `status`, `reason` of the error, of its details, inner errors and `metadata`; the
`base_resp` of MiniMax; the filters of Google (`raiFilteredReason`, `blockReason`, `finishReason`).
"""

import re
from collections.abc import Iterator

from batchgen.types import Json

_MAX_DEPTH = 6
_MAX_ITEMS = 20
_MAX_CODES = 40
_MAX_CODE_LENGTH = 200
_CODE_KEYS = frozenset(
    {
        *("code", "type", "status", "reason", "name", "error_code", "errorcode", "err_code"),
        *("error_type", "errortype", "__type", "status_code", "statuscode", "failure_code"),
        *("failurecode", "errcode", "subcode", "sub_code", "error_name", "blockreason"),
        *("finishreason", "finish_reason", "block_reason", "violation_code"),
    }
)
_INNER_KEYS = frozenset(
    {
        *("error", "errors", "detail", "details", "inner_error", "innererror", "metadata"),
        *("base_resp", "promptfeedback", "prompt_feedback", "candidates", "raw", "data", "result"),
        *("output", "response", "cause", "violations", "failure", "content_filter_result"),
    }
)
_ERROR_STATUS = range(400, 600)
_NUMBER = re.compile(r"[0-9]{3}", re.ASCII)
_FILTERED = frozenset({"raifilteredreason", "rai_filtered_reason"})


def codes_of(value: Json) -> tuple[str, ...]:
    """Return all codes of an error body, the outermost first; numbers as text."""
    found: dict[str, None] = {}
    for code in _codes(value, 0):
        found.setdefault(code)
        if len(found) >= _MAX_CODES:
            break
    return tuple(found)


def inner_status(value: Json) -> int | None:
    """Return the HTTP status that an error object inside a body gives; None if there is none."""
    if isinstance(value, list):
        return inner_status(value[0]) if value else None
    if not isinstance(value, dict):
        return None
    places = (value.get("error"), value)
    keys = ("code", "status", "status_code", "statusCode", "http_status", "httpStatus")
    numbers = (
        _status(place.get(key)) for place in places if isinstance(place, dict) for key in keys
    )
    return next((number for number in numbers if number is not None), None)


def _status(value: Json) -> int | None:
    number = int(value) if isinstance(value, str) and _NUMBER.fullmatch(value) else value
    if isinstance(number, int) and not isinstance(number, bool) and number in _ERROR_STATUS:
        return number
    return None


def _codes(value: Json, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        return
    if isinstance(value, list):
        for item in value[:_MAX_ITEMS]:
            yield from _codes(item, depth + 1)
    if not isinstance(value, dict):
        return
    for name, inner in value.items():
        key = name.lower()
        if code := _code_of_field(key, inner):
            yield code
        if key in _INNER_KEYS:
            yield from _codes(inner, depth + 1)


def _code_of_field(key: str, value: Json) -> str:
    """Return the code that one field of an error body holds or stands for; empty if none."""
    match key, value:
        case "base_resp", dict():
            return f"base_resp.{_code(value.get('status_code'))}"
        case "reasons", [_, *_]:
            return "moderation_reasons"
        case (("content_filter_result" | "content_filter_results"), dict()) if _is_filtered(value):
            return "content_filter"
        case _ if key in _FILTERED and value:
            return "raiFilteredReason"
        case _:
            return _code(value) if key in _CODE_KEYS else ""


def _code(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    is_code = isinstance(value, str) and 0 < len(value) <= _MAX_CODE_LENGTH
    return value.strip() if is_code and isinstance(value, str) else ""


def _is_filtered(value: Json, depth: int = 0) -> bool:
    if not isinstance(value, dict) or depth > _MAX_DEPTH:
        return False
    return value.get("filtered") is True or any(
        _is_filtered(inner, depth + 1) for inner in value.values()
    )
