"""Request id and rate limit from the headers of replies.

`x-ratelimit-*` are OpenAI's. The vendor documents `x-inference-id` (https://docs.aimlapi.com,
"Response headers").
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from batchgen.provider.endpoints.durations import read_number, read_wait_s
from batchgen.provider.endpoints.errors import sanitize

_MAX_ID_WIDTH = 200
_MAX_VALUE_WIDTH = 64  # characters; no number and no date is longer
_EPOCH = datetime.fromtimestamp(0, UTC)
_MAX_RESET_S = 86_400.0  # times since the epoch are larger


def request_id(headers: Mapping[str, str]) -> str | None:
    """Return the provider's id of the request; None if there is none."""
    for name in ("x-inference-id", "x-request-id", "request-id"):
        if name in headers and (value := sanitize(headers[name], _MAX_ID_WIDTH)):
            return value
    return None


def advertised_rate(headers: Mapping[str, str]) -> float | None:
    """Return the requests per second of `x-ratelimit-*`, from a reply that used the last request.

    OpenAI's reset is the time until the whole limit is available again, so the rate is the limit
    divided by it; with a fixed window the rate is at least that. None if a header is missing.
    """
    for suffix in ("-requests", ""):
        if f"x-ratelimit-limit{suffix}" not in headers:
            continue
        remaining = read_number(_short(headers, f"x-ratelimit-remaining{suffix}"))
        limit = read_number(_short(headers, f"x-ratelimit-limit{suffix}"))
        reset_s = read_wait_s(_short(headers, f"x-ratelimit-reset{suffix}"), _EPOCH)
        if remaining == 0 and limit and reset_s and 0 < reset_s <= _MAX_RESET_S:
            return limit / reset_s
    return None


def _short(headers: Mapping[str, str], name: str) -> str:
    text = headers.get(name, "").strip()
    return text if len(text) <= _MAX_VALUE_WIDTH else ""
