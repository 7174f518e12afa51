"""What the provider's usage log tells of requests whose outcome nobody knows.

The AI/ML API keeps a log of requests with the client's own request id, `GET /v2/logs` (FACTS
section 7; documented later than the images API, so that 404 and 403 are no error). What it lists
as failed was not charged and made nothing; what it lists as succeeded was charged. A request that
it does not list may still be on its way into the log: it stays unknown.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from batchgen.http.service import Transport
from batchgen.provider.account import Unanswered, ask
from batchgen.storage.ledger import Ledger, Reconciliation
from batchgen.types import Json

_PATH = "/v2/logs"
_PAGE = 100  # the most that the vendor gives at once
_MOST_PAGES = 150  # it answers 200 a minute
_EARLIER = timedelta(minutes=10)  # clocks differ
_LONGEST = timedelta(days=92)  # as far back as the vendor looks


async def settle(transport: Transport, ledger: Ledger, now: datetime) -> tuple[int, str]:
    """Settle what the log tells of; return how many tasks, and why it told no more (or nothing).

    now: aware UTC.
    """
    waiting = ledger.unknown_sent_at()
    if not waiting:
        return 0, ""
    began = max(min(waiting.values()) - _EARLIER, now - _LONGEST)
    settled: list[Reconciliation] = []
    for page in range(_MOST_PAGES):
        answer = await ask(transport, _query(began, now + _EARLIER, page))
        if isinstance(answer, Unanswered):
            ledger.reconcile(settled)
            return len(settled), answer.reason
        settled += [one for one in _entries(answer) if waiting.pop(one.idempotency_key, None)]
        if not waiting or not _has_more(answer):
            break
    ledger.reconcile(settled)
    return len(settled), ""


def _query(start: datetime, end: datetime, page: int) -> str:
    window = {"start": _stamp(start), "end": _stamp(end)}
    return f"{_PATH}?{urlencode({**window, 'limit': _PAGE, 'offset': page * _PAGE})}"


def _stamp(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}Z"


def _entries(answer: Json) -> Iterator[Reconciliation]:
    listed = answer.get("data") if isinstance(answer, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("client_request_id"), str):
            yield _settlement(str(entry["client_request_id"]), entry)


def _settlement(key: str, entry: Mapping[str, Json]) -> Reconciliation:
    name = entry.get("inference_id") or entry.get("request_id")
    cost = entry.get("cost")
    usd = cost.get("usd") if isinstance(cost, dict) else None
    return Reconciliation(
        key,
        name if isinstance(name, str) else None,
        charged=entry.get("status") != "failed",
        cost_usd=float(usd) if isinstance(usd, int | float) and usd >= 0 else None,
    )


def _has_more(answer: Json) -> bool:
    pages = answer.get("pagination") if isinstance(answer, dict) else None
    return isinstance(pages, dict) and pages.get("has_more") is True
