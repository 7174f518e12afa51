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
from batchgen.simulator.fault_draws import FaultDraws
from batchgen.simulator.fault_injection import FaultInjector
from batchgen.simulator.file_host import FileHost
from batchgen.simulator.image_generations import ImageGenerations
from batchgen.simulator.images_api import ImagesApi
from batchgen.simulator.middleware import Middleware
from batchgen.simulator.remote_jobs import RemoteJobs
from batchgen.simulator.replies.async_families import AsyncFamilies
from batchgen.simulator.replies.sync_families import SyncFamilies
from batchgen.simulator.settings import SimulatorSettings, Sleep
from batchgen.simulator.signed_urls import SignedUrls
from batchgen.simulator.stats import Stats, StatsJson

_HOST = "127.0.0.1"
_BACKLOG = 4096
_DRAIN_S = 2.0


class Simulator:
    """A loopback server that behaves like the AI/ML API, with faults.

    `async with Simulator(settings) as simulator:` serves at `simulator.base_url`.
    sleep: waits for latencies; monotonic: the clock of remote jobs. Tests pass their own in order
    not to wait.
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
        self._executor = ThreadPoolExecutor(os.cpu_count(), thread_name_prefix="simulator")
        self._stopping = asyncio.Event()
        settings, stats = self._settings, self._stats
        draws = FaultDraws(settings.seed, settings.faults)
        injector = FaultInjector(draws, self._stopping, self._sleep, settings.limit_headers)
        middleware = Middleware(settings, injector=injector, stats=stats)
        urls = SignedUrls(settings.seed, settings.url_lifetime_s)
        files = FileHost(urls, injector=injector, stats=stats, executor=self._executor)
        app = self._application(middleware, urls)
        try:
            urls.origin = middleware.other_host = await self._serve(files.application(), 0)
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

    def _application(self, middleware: Middleware, urls: SignedUrls) -> web.Application:
        """Return the application of the API's origin."""
        settings, stats = self._settings, self._stats
        account = Account(settings, stats)
        billing = Billing(settings, account, stats)
        self._generations = ImageGenerations(settings, account, stats, self._sleep)
        jobs = RemoteJobs(settings, billing, middleware.injector.draws, self._monotonic)
        sync = SyncFamilies(settings, billing, middleware=middleware, urls=urls)
        asynchronous = AsyncFamilies(
            settings, jobs, middleware=middleware, urls=urls, sleep=self._sleep
        )
        api = ImagesApi(
            settings, self._generations, sync_families=sync, urls=urls, executor=self._executor
        )
        app = api.application()
        for routes in (sync, asynchronous, account):
            routes.add_routes(app)
        return app

    async def _serve(self, app: web.Application, port: int) -> str:
        """Start an origin and return its URL."""
        # A stalled handler is cancelled when its client disconnects.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_DRAIN_S
        )
        await runner.setup()
        self._runners.append(runner)
        try:
            await web.TCPSite(runner, _HOST, port, backlog=_BACKLOG).start()
        except OSError as error:
            raise UsageError(
                f"the simulator cannot listen on port {port} of {_HOST} ({error.strerror}); "
                "use another port, or 0 for a free one"
            ) from error
        return f"http://{_HOST}:{runner.addresses[0][1]}"

    async def _close(self) -> None:
        self._stopping.set()
        await self._generations.close()
        for runner in self._runners:
            await runner.cleanup()
        self._executor.shutdown()
