"""The origin of the files: to a client, a host other than the API's."""

import asyncio
from concurrent.futures import Executor

from aiohttp import web

from batchgen.simulator.fault_injection import FaultInjector
from batchgen.simulator.middleware import vendor_errors
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.signed_urls import PREFIX, REDIRECTED, SignedUrls
from batchgen.simulator.stats import Stats


class FileHost:
    """Renders a file each time its URL is requested."""

    def __init__(
        self, urls: SignedUrls, *, injector: FaultInjector, stats: Stats, executor: Executor
    ) -> None:
        self._urls = urls
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
        file = self._urls.file_at(path)
        if file is None:
            raise Rejection(404, "No such file, or the signature in the query does not match")
        fault = self._injector.draws.file(path).fault if path == request.raw_path else None
        if (response := self._injector.replace_file(request, fault)) is not None:
            return response
        loop = asyncio.get_running_loop()
        body = await loop.run_in_executor(self._executor, file.render)
        return await self._injector.send_file(request, fault, body, file.media_type)
