"""Generations of images: at most one per idempotency key."""

import asyncio
import time
import uuid
from collections import OrderedDict

import msgspec

from batchgen.simulator.billing import Account
from batchgen.simulator.middleware import PaidRequest
from batchgen.simulator.prices import price_usd
from batchgen.simulator.replies.images import Generation, seed_of
from batchgen.simulator.requests.image_request import ImageRequest
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings, Sleep
from batchgen.simulator.stats import Stats
from batchgen.simulator.usage_log import UsageLog

_MAX_KEYS = 20_000  # whose generations can be returned again; older ones are dropped


class _Started(msgspec.Struct, frozen=True):
    request: ImageRequest
    task: asyncio.Task[Generation]


class ImageGenerations:
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
        self._by_key: OrderedDict[str, _Started] = OrderedDict()
        self._running: set[asyncio.Task[Generation]] = set()

    async def get(self, request: ImageRequest, paid: PaidRequest) -> tuple[Generation, bool]:
        """Return the generation for a request, and whether it is an earlier one of the same key.

        Raise Rejection: credit spent (403), key of another request (400).
        """
        key = paid.key
        earlier = self._by_key.get(key) if key and self._settings.honour_idempotency else None
        if earlier is None:
            task = self._start(request, paid)
            if key:
                self._keep(key, _Started(request, task))
            return await asyncio.shield(task), False
        if earlier.request != request:
            raise Rejection(400, "The Idempotency-Key was used before, for another request")
        self._stats.replays += 1
        return await asyncio.shield(earlier.task), True

    async def close(self) -> None:
        """Cancel the running generations."""
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    def _start(self, request: ImageRequest, paid: PaidRequest) -> asyncio.Task[Generation]:
        self._account.charge(price_usd(request.model) * request.count)
        self._stats.images += request.count
        task = asyncio.create_task(self._generate(request, paid))
        # Not in a TaskGroup: a fixture may enter and leave the simulator in different tasks.
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        return task

    async def _generate(self, request: ImageRequest, paid: PaidRequest) -> Generation:
        if latency_s := self._settings.latency.at(paid.share):
            await self._sleep(latency_s)
        seed = seed_of(request, self._settings.seed)
        generation = Generation(request, seed, round(time.time() * 1000), str(uuid.uuid4()))
        self.log.add(generation, paid.client_id)
        return generation

    def _keep(self, key: str, started: _Started) -> None:
        self._by_key[key] = started
        if len(self._by_key) > _MAX_KEYS:
            self._by_key.popitem(last=False)
        self._stats.count_key(key)
