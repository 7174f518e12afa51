"""Where generations of the other families are paid: at most one under an idempotency key."""

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

_KEPT = 100_000  # receipts that can be shown again; older ones are forgotten


class Receipt(msgspec.Struct, frozen=True):
    """A paid generation. again: the key had paid for it before."""

    id: str
    again: bool


class Billing:
    """Counts what is paid for, and knows what a key has paid for already."""

    def __init__(self, settings: SimulatorSettings, account: Account, stats: Stats) -> None:
        self._settings = settings
        self._account = account
        self.stats = stats
        self._kept: OrderedDict[str, tuple[bytes, str]] = OrderedDict()

    def pay(self, asked: Asked, model: str) -> Receipt:
        """Pay for a request of a model, or show the receipt of its key.

        Raises Rejection: credit spent (403), key of another request (400).
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
