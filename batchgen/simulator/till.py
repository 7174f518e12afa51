"""Billing of the families other than images: at most one charge per idempotency key."""

import hashlib
import uuid
from collections import OrderedDict

import msgspec

from batchgen.simulator.account import Account
from batchgen.simulator.door import Asked
from batchgen.simulator.prices import price_usd
from batchgen.simulator.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.stats import Stats

_KEPT = 100_000  # receipts that can be returned again; older ones are dropped


class Receipt(msgspec.Struct, frozen=True):
    """A charged generation. again: the key was charged for it before."""

    id: str
    again: bool


class Billing:
    """Charges for requests, at most once per idempotency key."""

    def __init__(self, settings: SimulatorSettings, account: Account, stats: Stats) -> None:
        self._settings = settings
        self._account = account
        self.stats = stats
        self._kept: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    def pay(self, asked: Asked, model: str) -> Receipt:
        """Charge for a request of a model, or return the earlier receipt of its key.

        Raise Rejection: credit spent (403), key of another request (400).
        """
        digest = hashlib.blake2b(asked.raw, digest_size=16).digest()
        key = asked.key
        if key and self._settings.honour_idempotency and key in self._kept:
            paid, receipt_id = self._kept[key]
            if paid != digest and not asked.content_type.startswith("multipart/"):
                raise Rejection(400, "The Idempotency-Key was used before, for another request")
            self.stats.replays += 1
            return Receipt(receipt_id, again=True)
        self._account.charge(price_usd(model))
        receipt = Receipt(str(uuid.uuid4()), again=False)
        if key:
            self.stats.count_key(key)
            self._kept[key] = (digest, receipt.id)
            if len(self._kept) > _KEPT:
                self._kept.popitem(last=False)
        return receipt
