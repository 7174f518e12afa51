"""Reconciles requests with an unknown outcome with the provider's usage log.

The AI/ML API keeps a log of requests with the client's own request id (`GET /v2/logs`). A provider
without this log replies with 404 or 403, which is not an error. A request that the log lists as
failed generated nothing and was not charged; one that it lists as succeeded was charged. A request
that is not listed may still be added to the log: its outcome stays unknown.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from batchgen.http.service import Transport
from batchgen.provider.account import Unavailable, get_json
from batchgen.storage.ledger import Ledger
from batchgen.storage.ledger.values import Reconciliation
from batchgen.types import Json

_PATH = "/v2/logs"
_PAGE_SIZE = 100  # the vendor's maximum
_MAX_PAGES = 150  # the vendor allows 200 requests per minute
_CLOCK_SKEW = timedelta(minutes=10)
_MAX_AGE = timedelta(days=92)  # the vendor's maximum


async def reconcile(transport: Transport, ledger: Ledger, now: datetime) -> tuple[int, str]:
    """Record the outcomes that the log lists; return how many, and why it could not be read.

    now: aware UTC. The reason is empty if the log was read.
    """
    unknown = ledger.unknown_sent_at()
    if not unknown:
        return 0, ""
    start = max(min(unknown.values()) - _CLOCK_SKEW, now - _MAX_AGE)
    reconciled: list[Reconciliation] = []
    for page in range(_MAX_PAGES):
        reply = await get_json(transport, _query(start, now + _CLOCK_SKEW, page))
        if isinstance(reply, Unavailable):
            ledger.reconcile(reconciled)
            return len(reconciled), reply.reason
        reconciled += [
            entry for entry in _entries(reply) if unknown.pop(entry.idempotency_key, None)
        ]
        if not unknown or not _has_more(reply):
            break
    ledger.reconcile(reconciled)
    return len(reconciled), ""


def _query(start: datetime, end: datetime, page: int) -> str:
    window = {"start": _stamp(start), "end": _stamp(end)}
    return f"{_PATH}?{urlencode({**window, 'limit': _PAGE_SIZE, 'offset': page * _PAGE_SIZE})}"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _entries(reply: Json) -> Iterator[Reconciliation]:
    listed = reply.get("data") if isinstance(reply, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("client_request_id"), str):
            yield _reconciliation(str(entry["client_request_id"]), entry)


def _reconciliation(key: str, entry: Mapping[str, Json]) -> Reconciliation:
    name = entry.get("inference_id") or entry.get("request_id")
    cost = entry.get("cost")
    usd = cost.get("usd") if isinstance(cost, dict) else None
    return Reconciliation(
        key,
        name if isinstance(name, str) else None,
        charged=entry.get("status") != "failed",
        cost_usd=float(usd) if isinstance(usd, int | float) and usd >= 0 else None,
    )


def _has_more(reply: Json) -> bool:
    pages = reply.get("pagination") if isinstance(reply, dict) else None
    return isinstance(pages, dict) and pages.get("has_more") is True
