"""The account that pays for generations, and receipts: one charge per idempotency key."""

import hashlib
import math
import uuid
from collections import OrderedDict

import msgspec
from aiohttp import web

from batchgen.simulator.middleware import PaidRequest
from batchgen.simulator.prices import price_usd
from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats

_UNLIMITED_BALANCE_USD = 1000.0  # what an account without a limit reports
_SCOPES = ("model:image", "model:video", "model:audio", "model:speech", "model:ocr", "model:chat")
_MAX_RECEIPTS = 100_000  # older ones are dropped
_ROUNDING_USD = 1e-9


class Account:
    """Pays for generations until its credit or its balance is spent."""

    def __init__(self, settings: SimulatorSettings, stats: Stats) -> None:
        self._settings = settings
        self._stats = stats

    def charge(self, usd: float) -> None:
        """Charge for a generation. Raise Rejection (403) if the credit or the balance is spent."""
        credit = self._settings.credit
        is_spent = credit is not None and self._stats.generations >= credit
        if is_spent or self._left_usd() + _ROUNDING_USD < usd:
            raise Rejection(403)
        self._stats.generations += 1
        self._stats.usd_spent += usd

    def add_routes(self, app: web.Application) -> None:
        """Add the routes of the account."""
        app.router.add_get("/v1/key", self._key)
        app.router.add_get("/v2/billing", self._balance)

    def _left_usd(self) -> float:
        balance = self._settings.balance_usd
        return (math.inf if balance is None else balance) - self._stats.usd_spent

    async def _key(self, _: web.Request) -> web.Response:
        return web.json_response(
            {"prefix": "simulated", "disabled": False, "scopes": list(_SCOPES)}
        )

    async def _balance(self, _: web.Request) -> web.Response:
        balance = round(min(_UNLIMITED_BALANCE_USD, self._left_usd()), 6)
        return web.json_response({"current_balance": balance, "currency": "USD"})


class Receipt(msgspec.Struct, frozen=True):
    """A charged generation. again: the key was charged for it before."""

    id: str
    again: bool


class Billing:
    """Charges for requests to families other than images, at most once per idempotency key."""

    def __init__(self, settings: SimulatorSettings, account: Account, stats: Stats) -> None:
        self._honour_idempotency = settings.honour_idempotency
        self._account = account
        self.stats = stats
        self._receipts: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    def pay(self, request: PaidRequest, model: str) -> Receipt:
        """Charge for a request of a model, or return the earlier receipt of its key.

        Raise Rejection: credit spent (403), key of another request (400).
        """
        digest = hashlib.blake2b(request.body, digest_size=16).digest()
        key = request.key
        if key and self._honour_idempotency and key in self._receipts:
            paid_digest, receipt_id = self._receipts[key]
            # The boundary of a form differs each time.
            if paid_digest != digest and not request.content_type.startswith("multipart/"):
                raise Rejection(400, "The Idempotency-Key was used before, for another request")
            self.stats.replays += 1
            return Receipt(receipt_id, again=True)
        self._account.charge(price_usd(model))
        receipt = Receipt(str(uuid.uuid4()), again=False)
        if key:
            self.stats.count_key(key)
            self._receipts[key] = (digest, receipt.id)
            if len(self._receipts) > _MAX_RECEIPTS:
                self._receipts.popitem(last=False)
        return receipt
