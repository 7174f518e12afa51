"""Paid image generations: at most one per idempotency key."""

import asyncio
import time
import uuid
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from batchgen.simulator.billing import Account
from batchgen.simulator.prices import price_usd
from batchgen.simulator.replies.images import Generation, seed_of
from batchgen.simulator.requests.image_request import Order
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats
from batchgen.simulator.usage_log import UsageLog

Sleep: TypeAlias = Callable[[float], Awaitable[None]]

_KEPT = 20_000  # generations that can be returned again; older ones are dropped


class _Kept(msgspec.Struct, frozen=True):
    order: Order
    task: asyncio.Task[Generation]


class Generations:
    """Starts generations and keeps the last 20,000 that have a key.

    As at the vendor, a generation continues and is charged if its client disconnects.
    """

    def __init__(
        self, settings: SimulatorSettings, account: Account, stats: Stats, sleep: Sleep
    ) -> None:
        self.log = UsageLog()
        self._settings = settings
        self._account = account
        self._stats = stats
        self._sleep = sleep
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._running: set[asyncio.Task[Generation]] = set()

    async def get(
        self, order: Order, key: str | None, *, share: float, client_id: str | None = None
    ) -> tuple[Generation, bool]:
        """Return the generation for an order, and whether it is an earlier one of the same key.

        share: between 0 and 1, decides the latency of a new one. client_id: for the usage log.
        Raise Rejection: credit spent (403), key of another order (400).
        """
        kept = self._kept.get(key) if key and self._settings.honour_idempotency else None
        if kept is None:
            task = self._begin(order, self._settings.latency.at(share), client_id)
            if key:
                self._remember(key, _Kept(order, task))
            return await asyncio.shield(task), False
        if kept.order != order:
            raise Rejection(400, "The Idempotency-Key was used before, for another request")
        self._stats.replays += 1
        return await asyncio.shield(kept.task), True

    async def close(self) -> None:
        """Cancel the running generations."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _begin(
        self, order: Order, latency_s: float, client_id: str | None
    ) -> asyncio.Task[Generation]:
        self._account.charge(price_usd(order.model) * order.count)
        self._stats.images += order.count
        task = asyncio.create_task(self._generate(order, latency_s, client_id))
        # Not in a TaskGroup: a fixture may enter and leave the simulator in different tasks.
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _generate(self, order: Order, latency_s: float, client_id: str | None) -> Generation:
        if latency_s:
            await self._sleep(latency_s)
        seed = seed_of(order, self._settings.seed)
        made = Generation(order, seed, round(time.time() * 1000), str(uuid.uuid4()))
        self.log.add(made, client_id)
        return made

    def _remember(self, key: str, kept: _Kept) -> None:
        self._kept[key] = kept
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        self._stats.count_key(key)
