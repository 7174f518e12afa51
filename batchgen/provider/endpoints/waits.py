"""The wait that a provider asks for: in headers, in fields of the body, in the words of a message.

The vendor documents no wait.
"""

import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice

from batchgen.provider.endpoints.durations import read_until_s
from batchgen.provider.endpoints.errors import read_json
from batchgen.provider.endpoints.wait_fields import (
    field_waits,
    header_waits,
    inner_headers,
    poll_waits,
    reset_waits,
)
from batchgen.provider.endpoints.wait_words import word_waits
from batchgen.types import HttpResponse, Json

_TOO_MANY = 429
_FORBIDDEN = 403
_LIMITED = frozenset({_FORBIDDEN, _TOO_MANY, 503, 529})
_ERRORS = range(400, 600)
_MAX_S = 31 * 86_400.0  # beyond a month it is no wait
_MAX_DEPTH = 8
_MAX_ITEMS = 20
_MAX_TEXTS = 40
_MAX_PAGE = 16_000  # bytes of a body that is not JSON
_MAX_SKEW = timedelta(hours=26)  # a larger difference is no clock that is wrong
_MIN_SKEW = timedelta(seconds=5)
_ECHOES = frozenset(  # fields that repeat the request
    {"input", "inputs", "prompt", "prompts", "params", "parameters", "request", "payload", "ctx"}
)
_HIDDEN = re.compile(
    r"<(script|style)\b.*?(?:</\1\s*>|\Z)|<!--.*?(?:-->|\Z)", re.DOTALL | re.IGNORECASE
)
_TAG = re.compile(r"<[^<>]*>")


def requested_wait_s(
    reply: HttpResponse, now: datetime, inner_status: int | None = None
) -> float | None:
    """Return the seconds that an error asks to wait, above 0; None if it does not ask.

    reply: with an error status, or a 2xx reply with an error inside. now: aware UTC.
    inner_status: the status that an error inside a 2xx reply gives, if any.

    What asks directly (`Retry-After`, a field or the words of an error) goes before the times at
    which limits reset; these are read if the reply refuses a request for its rate.
    """
    status = reply.status if reply.status in _ERRORS else inner_status or _TOO_MANY
    return _first(_waits(reply, _provider_time(reply, now), status))


def poll_wait_s(reply: HttpResponse, now: datetime) -> float | None:
    """Return the seconds until the next poll that a 2xx reply asks for, above 0, or None.

    now: aware UTC. Read from `Retry-After` and from outer fields such as `retry_after`.
    """
    at = _provider_time(reply, now)
    return _first((*header_waits(reply.headers, at), *poll_waits(_json(reply), at)))


def _waits(reply: HttpResponse, now: datetime, status: int) -> Iterator[float | None]:
    yield from header_waits(reply.headers, now)
    limited = status in _LIMITED
    body = _json(reply)
    yield from field_waits(body, now)
    for headers in inner_headers(body):
        yield from header_waits(headers, now)
    texts = [_page_text(reply.body)] if body is None else islice(_texts(body), _MAX_TEXTS)
    for text in texts:
        yield from word_waits(text, now, limited=limited)
    if limited:
        resets = [reset_waits(headers, now) for headers in (reply.headers, *inner_headers(body))]
        yield max((used_up for used_up, _ in resets if used_up is not None), default=None)
        if status != _FORBIDDEN:  # it must be known that a limit is used up
            yield max((reset_s for _, reset_s in resets if reset_s is not None), default=None)


def _first(waits: Iterator[float | None] | tuple[float | None, ...]) -> float | None:
    return next((wait for wait in waits if wait is not None and 0 < wait <= _MAX_S), None)


def _provider_time(reply: HttpResponse, now: datetime) -> datetime:
    """Return the provider's time if one of the clocks is wrong: its dates are in that time."""
    ahead_s = read_until_s(reply.headers.get("date", ""), now)
    if ahead_s is None or not _MIN_SKEW <= timedelta(seconds=abs(ahead_s)) <= _MAX_SKEW:
        return now
    return now + timedelta(seconds=ahead_s)


def _json(reply: HttpResponse) -> Json:
    """Return the body as JSON, with the JSON that its strings hold; None if it is not JSON.

    Fields that repeat the request are left out.
    """
    try:
        return _unwrapped(read_json(reply.body), 0)
    except ValueError:
        return None


def _unwrapped(value: Json, depth: int) -> Json:
    if depth > _MAX_DEPTH:
        return None
    if isinstance(value, list):
        return [_unwrapped(item, depth + 1) for item in value[:_MAX_ITEMS]]
    if isinstance(value, dict):
        items = list(value.items())[:_MAX_ITEMS]
        return {
            name: _unwrapped(inner, depth + 1)
            for name, inner in items
            if name.lower() not in _ECHOES
        }
    if isinstance(value, str) and value.lstrip().startswith(("{", "[")):
        try:
            return _unwrapped(read_json(value.encode()), depth + 1)
        except ValueError:
            return value
    return value


def _texts(value: Json) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)


def _page_text(body: bytes) -> str:
    """Return the text of a body that is not JSON, such as a web page."""
    text = body[:_MAX_PAGE].decode("utf-8", "replace")
    return _TAG.sub(" ", _HIDDEN.sub(" ", text)) if "<" in text else text
