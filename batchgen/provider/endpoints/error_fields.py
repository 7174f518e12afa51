"""The codes and the inner status of an error body, wherever providers put them. Pure.

`code`, `type`, `status`, `reason` of the error, of its details, inner errors and `metadata`; the
`base_resp` of MiniMax; the filters of Google (`raiFilteredReason`, `blockReason`, `finishReason`).
"""

import re
from collections.abc import Iterator
from typing import cast

import msgspec

from batchgen.provider.endpoints.error_codes import codes_in_text
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
        *("predictions", "images", "artifacts", "choices", "safetyratings", "outputs", "results"),
        *("extensions", "moderation", "message", "task", "task_result"),
        *("error", "errors", "detail", "details", "inner_error", "innererror", "metadata"),
        *("base_resp", "promptfeedback", "prompt_feedback", "candidates", "raw", "data", "result"),
        *("output", "response", "cause", "violations", "failure", "content_filter_result"),
    }
)
_ERROR_STATUS = range(400, 600)
_NUMBER = re.compile(r"[0-9]{3}", re.ASCII)
_FILTERED = frozenset({"raifilteredreason", "rai_filtered_reason", "refusal"})
_FILTER_RESULTS = frozenset(
    {
        *("content_filter_result", "content_filter_results", "prompt_filter_results"),
        *("contentfilterresult", "contentfilterresults", "promptfilterresults"),
    }
)
_FLAGS = {  # flags of results that a filter has taken out, and their value if it has
    **dict.fromkeys(("is_image_safe", "is_safe", "issafe", "isimagesafe"), False),
    **dict.fromkeys(("nsfw", "nsfwcontent", "has_nsfw_concepts", "has_nsfw_concept"), True),
    **dict.fromkeys(("is_nsfw", "nsfw_content_detected", "content_violation", "moderated"), True),
    **dict.fromkeys(("blocked", "content_filtered", "contentfiltered", "flagged"), True),
}
_TEXTS = frozenset(
    {"message", "msg", "error", "detail", "raw", "errors", "errormessage", "status_msg"}
)


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
            yield from codes_in_text(item)
    if not isinstance(value, dict):
        return
    for name, field in value.items():
        key = name.lower()
        inner = _unwrapped(field) if key == "raw" else field
        if code := _code_of_field(key, inner):
            yield code
        if key in _INNER_KEYS:
            yield from _codes(inner, depth + 1)
        if key in _TEXTS:
            yield from codes_in_text(inner)


def _unwrapped(value: Json) -> Json:
    """Return the error that a gateway passes on as text with JSON in it."""
    try:
        return cast("Json", msgspec.json.decode(value)) if isinstance(value, str) else value
    except (msgspec.MsgspecError, RecursionError):
        return value


def _code_of_field(key: str, value: Json) -> str:
    """Return the code that one field of an error body holds or stands for; empty if none."""
    if _reports_filter(key, value):
        return "content_filter"
    match key, value:
        case "base_resp", dict():
            return f"base_resp.{_code(value.get('status_code'))}"
        case "reasons", [_, *_]:
            return "moderation_reasons"
        case (("blockreason" | "block_reason"), str()) if value and "UNSPECIFIED" not in value:
            return "prompt_blocked"
        case _:
            return _code(value) if key in _CODE_KEYS else ""


def _reports_filter(key: str, value: Json) -> bool:
    """Return whether a field says that a content filter has taken out a result."""
    return (
        (key in _FILTER_RESULTS and _is_filtered(value))
        or (key in _FLAGS and _is_set(value, _FLAGS[key]))
        or (key in _FILTERED and bool(value))
    )


def _is_set(value: Json, expected: bool) -> bool:  # noqa: FBT001  # a value, not a switch
    return value is expected or (isinstance(value, list) and expected in value)


def _code(value: Json) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    is_code = isinstance(value, str) and 0 < len(value) <= _MAX_CODE_LENGTH
    return value.strip() if is_code and isinstance(value, str) else ""


def _is_filtered(value: Json, depth: int = 0) -> bool:
    if depth > _MAX_DEPTH:
        return False
    if isinstance(value, list):
        return any(_is_filtered(item, depth + 1) for item in value[:_MAX_ITEMS])
    if not isinstance(value, dict):
        return False
    return value.get("filtered") is True or any(
        _is_filtered(inner, depth + 1) for inner in value.values()
    )
