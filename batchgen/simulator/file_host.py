"""The origin of the files: to a client, a host other than the API's."""

import asyncio
from concurrent.futures import Executor

from aiohttp import web

from batchgen.simulator.artifacts.media import drawn, media_type
from batchgen.simulator.fault_injection import FaultInjector
from batchgen.simulator.images_api import vendor_errors
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.signed_urls import PREFIX, REDIRECTED, Links
from batchgen.simulator.stats import Stats


class Files:
    """Builds a file each time its URL is requested."""

    def __init__(
        self, links: Links, *, injector: FaultInjector, stats: Stats, executor: Executor
    ) -> None:
        self._links = links
        self._injector = injector
        self._stats = stats
        self._executor = executor

    def application(self) -> web.Application:
        """Return the aiohttp application with its one route."""
        app = web.Application(middlewares=[vendor_errors])
        app.router.add_get(f"{PREFIX}{{name}}", self._counted)
        return app

    async def _counted(self, request: web.Request) -> web.StreamResponse:
        try:
            response = await self._serve(request)
        except Rejection as rejection:
            self._stats.file_requests[str(rejection.status)] += 1
            raise
        self._stats.file_requests[str(response.status)] += 1
        return response

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if "Authorization" in request.headers:
            self._stats.leaked_keys += 1
            raise Rejection(403, "An API key was sent to the host of the files: it has leaked")
        path = request.raw_path.removesuffix(REDIRECTED)
        thing = self._links.thing_at(path)
        if thing is None:
            raise Rejection(404, "No such file, or the signature in the query does not match")
        fault = self._injector.draws.file(path).fault if path == request.raw_path else None
        instead = self._injector.instead_of_file(request, fault)
        if instead is not None:
            return instead
        loop = asyncio.get_running_loop()
        data = await loop.run_in_executor(self._executor, drawn, thing)
        return await self._injector.with_file(request, fault, data, media_type(thing))
