"""The API key and its account: scopes and balance.

`GET /v1/key` and `GET /v2/billing` (https://docs.aimlapi.com, "Keys" and "Billing").
"""

import math

from aiohttp import web

from batchgen.simulator.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats

_PLENTY_USD = 1000.0
_SCOPES = ("model:image", "model:video", "model:audio", "model:speech", "model:ocr", "model:chat")


class Account:
    """Pays for generations until its credit or its balance is spent."""

    def __init__(self, settings: SimulatorSettings, stats: Stats) -> None:
        self._settings = settings
        self._stats = stats

    def charge(self, usd: float) -> None:
        """Charge for a generation. Raise Rejection (403) if the credit or the balance is spent."""
        credit = self._settings.credit
        spent = credit is not None and self._stats.generations >= credit
        if spent or self._left_usd() + 1e-9 < usd:
            raise Rejection(403)
        self._stats.generations += 1
        self._stats.usd_spent += usd

    def add_to(self, app: web.Application) -> None:
        """Add the routes of the account."""
        app.router.add_get("/v1/key", self._key)
        app.router.add_get("/v2/billing", self._billing)

    def _left_usd(self) -> float:
        balance = self._settings.balance_usd
        return (math.inf if balance is None else balance) - self._stats.usd_spent

    async def _key(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"prefix": "simulated", "disabled": False, "scopes": list(_SCOPES)}
        )

    async def _billing(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"current_balance": round(min(_PLENTY_USD, self._left_usd()), 6), "currency": "USD"}
        )
