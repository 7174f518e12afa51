"""Values that the ledger returns or takes, besides those of `types`."""

from collections.abc import Mapping
from datetime import datetime

import msgspec

from batchgen.types import Status


class Totals(msgspec.Struct, frozen=True):
    """Sums over the tasks of the last manifest.

    counts: tasks by status. artifacts, size_bytes: of the newest generations.
    cost_usd: the sum of the known costs. unpriced: results of unknown cost.
    """

    counts: Mapping[Status, int]
    artifacts: int
    size_bytes: int
    cost_usd: float
    unpriced: int
    attempts: int


class RunRow(msgspec.Struct, frozen=True):
    """A run in the ledger.

    total: tasks of the manifest. reason: why it ended; None while it works or after a crash.
    unknown: tasks whose outcome was unknown when it began.
    settled: those of them found in the provider's usage log.
    resent: requests sent again that may have been charged before.
    """

    run: int
    pid: int
    started_at: datetime
    finished_at: datetime | None
    total: int
    reason: str | None
    unknown: int = 0
    settled: int = 0
    resent: int = 0


class Reconciliation(msgspec.Struct, frozen=True):
    """An entry of the provider's usage log for an unknown task.

    charged: whether the request succeeded and was charged. cost_usd: None if not known.
    """

    idempotency_key: str
    request_id: str | None
    charged: bool
    cost_usd: float | None = None
