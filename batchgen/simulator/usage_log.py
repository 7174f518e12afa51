"""The usage log of images: `GET /v2/logs`, as in the vendor's API reference."""

from collections import deque
from datetime import UTC, datetime

from aiohttp import web

from batchgen.simulator.prices import CREDITS_PER_USD
from batchgen.simulator.replies.images import Generation
from batchgen.simulator.requests.rejection import Rejection

_MAX_ENTRIES = 20_000
_MAX_PAGE = 100


class UsageLog:
    """The last 20,000 charged generations, newest first."""

    def __init__(self) -> None:
        self._entries: deque[tuple[datetime, dict[str, object]]] = deque(maxlen=_MAX_ENTRIES)

    def add(self, generation: Generation, client_request_id: str | None) -> None:
        """Record a charged generation."""
        now = datetime.now(UTC)
        entry: dict[str, object] = {
            "created": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "status": "succeeded",
            "origin": "api",
            "model": generation.request.model,
            "cost": {
                "usd": generation.credits / CREDITS_PER_USD,
                "credits": generation.credits,
            },
            "tokens": None,
            "request_id": generation.inference_id,
            "inference_id": generation.inference_id,
            "client_request_id": client_request_id,
        }
        self._entries.appendleft((now, entry))

    def page(self, request: web.Request) -> web.Response:
        """Return a page of the log. Raise Rejection (400) if the time window or page is invalid."""
        query = request.query
        try:
            start, end = (datetime.fromisoformat(query[name]) for name in ("start", "end"))
            limit, offset = int(query.get("limit", "50")), int(query.get("offset", "0"))
        except (KeyError, ValueError) as error:
            raise Rejection(400, f"Query validation error: {error}") from error
        if not 1 <= limit <= _MAX_PAGE or offset < 0:
            raise Rejection(400, f"Query validation error: limit is 1 to {_MAX_PAGE}")
        entries = [entry for created, entry in self._entries if start <= created <= end]
        pagination = {
            "limit": limit,
            "offset": offset,
            "total": len(entries),
            "has_more": offset + limit < len(entries),
        }
        return web.json_response(
            {"data": entries[offset : offset + limit], "pagination": pagination}
        )
