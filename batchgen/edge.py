"""Where a run meets the provider and the disk: in its own process, or in lanes beside it."""

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from itertools import islice
from typing import TypeVar

from msgspec.structs import replace

from batchgen.hands import Hands
from batchgen.job import SIMULATOR, Access, Job, Provider
from batchgen.lanes import Lanes, lanes_worth, told_lanes
from batchgen.service import Service
from batchgen.store import LocalStore

T = TypeVar("T")

_MANY_TASKS = 100  # with fewer, starting a process takes longer than it saves


class Edge:
    """Opens a run's hands: its lanes where there is much to do, else this process.

    The environment variable BATCHGEN_LANES says how many, whatever there is to do; 0 is none.
    Stories are put into pictures by this process, which then has to have their bytes.
    """

    def __init__(self, job: Job) -> None:
        told = told_lanes()
        count = lanes_worth(job.limits.concurrency) if told is None else told
        self._count = 0 if job.extras.embed_metadata else count
        self._least = _MANY_TASKS if told is None else 1
        self._root = job.output_dir
        self._lanes: Lanes | None = None

    def foresee(self, items: Iterable[T]) -> Iterator[T]:
        """Pass items through; lanes start as soon as these are many, and load meanwhile."""
        left = iter(items)
        for taken, item in enumerate(islice(left, _MANY_TASKS), 1):
            yield item
            self.prepare(taken)
        yield from left

    def prepare(self, tasks: int) -> None:
        """Start the lanes if so many tasks are worth it; harmless when repeated."""
        if self._lanes is None and self._count and tasks >= self._least:
            self._lanes = Lanes(self._count, self._root)

    @asynccontextmanager
    async def open(
        self, service: Service, store: LocalStore, *, in_flight: int
    ) -> AsyncIterator[Hands]:
        """The hands of a run. store: of this process, which has looked at the output directory."""
        if self._lanes is None:
            # aiohttp takes a quarter of a second to import: only what sends pays for it
            from batchgen.transport import AiohttpTransport  # noqa: PLC0415  # see above

            async with AiohttpTransport(
                service, connections=in_flight, open_sink=store.open_sink
            ) as transport:
                yield Hands(transport, store)
        else:
            try:
                await self._lanes.open(service, connections=in_flight, orphans=store.orphans)
                yield Hands(self._lanes, self._lanes)
                await self._lanes.close()
            finally:
                self._lanes.end()

    def close(self) -> None:
        """End lanes that were started and not opened."""
        if self._lanes is not None:
            self._lanes.end()


@asynccontextmanager
async def reached(provider: Provider, access: Access) -> AsyncIterator[tuple[Provider, Access]]:
    """The provider as it is reached; the simulator is started for the time of the run."""
    if provider.name != SIMULATOR:
        yield provider, access
        return
    from batchgen.simulator import Simulator, SimulatorSettings  # noqa: PLC0415  # draws: heavy

    async with Simulator(SimulatorSettings()) as simulator:
        yield replace(provider, base_url=simulator.base_url), Access("simulator")
