"""The simulator: two origins on loopback, open during a `with` block."""

import asyncio
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from aiohttp import web

from batchgen.errors import UsageError
from batchgen.simulator.billing import Account, Billing
from batchgen.simulator.fault_draws import Draws
from batchgen.simulator.fault_injection import FaultInjector
from batchgen.simulator.file_host import Files
from batchgen.simulator.image_jobs import Generations, Sleep
from batchgen.simulator.images_api import Api
from batchgen.simulator.middleware import Middleware
from batchgen.simulator.replies.async_families import Remote
from batchgen.simulator.replies.jobs import Jobs
from batchgen.simulator.replies.sync_families import Direct
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.signed_urls import Links
from batchgen.simulator.stats import Stats, StatsJson

HOST = "127.0.0.1"
_BACKLOG = 4096
_DRAIN_S = 2.0


class Simulator:
    """A loopback server that behaves like the AI/ML API, with faults.

    `async with Simulator(settings) as simulator:` serves at `simulator.base_url`.
    sleep: waits for the latency of a generation; monotonic: the clock of remote jobs. Tests pass
    their own in order not to wait.
    """

    def __init__(
        self,
        settings: SimulatorSettings | None = None,
        *,
        sleep: Sleep = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings or SimulatorSettings()
        self._sleep = sleep
        self._monotonic = monotonic
        self._stats = Stats()
        self._runners: list[web.AppRunner] = []
        self.base_url = ""

    def stats(self) -> StatsJson:
        """Return the counters of `GET /_simulator/stats`; see `stats.Stats`."""
        return self._stats.as_json()

    async def __aenter__(self) -> Self:
        settings, stats = self._settings, self._stats
        draws = Draws(settings.seed, settings.faults)
        self._executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="simulator")
        account = Account(settings, stats)
        self._generations = Generations(settings, account, stats, self._sleep)
        self._stopping = asyncio.Event()
        injector = FaultInjector(draws, self._stopping, self._sleep, settings.tell_limits)
        middleware = Middleware(settings, injector=injector, stats=stats)
        links = Links(settings.seed, settings.url_lifetime_s)
        billing = Billing(settings, account, stats)
        direct = Direct(settings, billing, middleware=middleware, links=links)
        api = Api(
            settings,
            self._generations,
            direct=direct,
            links=links,
            executor=self._executor,
        )
        jobs = Jobs(settings, billing, draws, self._monotonic)
        remote = Remote(
            settings,
            jobs,
            middleware=middleware,
            links=links,
            sleep=self._sleep,
        )
        files = Files(links, injector=injector, stats=stats, executor=self._executor)
        app = api.application()
        for family in (remote, direct, account):
            family.add_to(app)
        try:
            links.origin = middleware.elsewhere = await self._serve(files.application(), 0)
            self.base_url = f"{await self._serve(app, settings.port)}/v1"
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._close()

    async def _serve(self, app: web.Application, port: int) -> str:
        """Start an origin and return its URL."""
        # A stalled handler is cancelled when its client disconnects.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_DRAIN_S
        )
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, HOST, port, backlog=_BACKLOG).start()
        except OSError as error:
            raise UsageError(
                f"the simulator cannot listen on port {port} of {HOST} ({error.strerror}); "
                "another port can, and 0 takes a free one"
            ) from error
        return f"http://{HOST}:{runner.addresses[0][1]}"

    async def _close(self) -> None:
        self._stopping.set()
        await self._generations.close()
        for runner in self._runners:
            await runner.cleanup()
        self._executor.shutdown()
