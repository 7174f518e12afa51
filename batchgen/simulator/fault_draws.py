"""Faults drawn from the seed, so that a run with the same seed fails the same way."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from batchgen.simulator.fault_names import FILE_FAULTS, POLL_FAULTS, WORK_FAULTS

_REMEMBERED = 100_000  # identities whose attempts are counted; older ones start again at 0
_SHARE_BYTES = 6


class Draw(msgspec.Struct, frozen=True):
    """The fault of a request, if any; `share` (0 to 1) decides its latency."""

    fault: str | None
    share: float


class Draws:
    """Draws for requests by seed, identity, and how often the identity was seen.

    The order in which parallel requests arrive makes no difference, and the second attempt of a
    task has a draw independent of its first.
    """

    def __init__(self, seed: int, faults: Mapping[str, float]) -> None:
        self._seed = seed
        others = (*FILE_FAULTS, *POLL_FAULTS, *WORK_FAULTS)
        self._generation = {n: share for n, share in faults.items() if n not in others}
        self._poll = {n: share for n, share in faults.items() if n in POLL_FAULTS}
        self._job = {n: share for n, share in faults.items() if n in WORK_FAULTS}
        self._file = {n: share for n, share in faults.items() if n in FILE_FAULTS}
        self._times: OrderedDict[bytes, int] = OrderedDict()

    def generation(self, identity: str) -> Draw:
        """Draw for a request for images; its identity is its idempotency key or body."""
        return self._draw(f"generation\n{identity}", self._generation)

    def file(self, identity: str) -> Draw:
        """Draw for a request for a file; its identity is the path."""
        return self._draw(f"file\n{identity}", self._file)

    def poll(self, identity: str) -> Draw:
        """Draw for a poll of a remote job; its identity is that of the submission."""
        return self._draw(f"poll\n{identity}", self._poll)

    def job(self, identity: str) -> Draw:
        """Draw for a remote job; its identity is that of the submission."""
        return self._draw(f"work\n{identity}", self._job)

    def _draw(self, identity: str, faults: Mapping[str, float]) -> Draw:
        name = hashlib.blake2b(identity.encode("utf-8", "replace"), digest_size=16).digest()
        times = self._times.pop(name, 0)
        self._times[name] = times + 1
        if len(self._times) > _REMEMBERED:
            self._times.popitem(last=False)
        dice = hashlib.blake2b(name + f"{self._seed} {times}".encode()).digest()
        return Draw(_struck_by(faults, _share(dice[:_SHARE_BYTES])), _share(dice[-_SHARE_BYTES:]))


def _share(dice: bytes) -> float:
    return int.from_bytes(dice) / (1 << 8 * len(dice))


def _struck_by(faults: Mapping[str, float], share: float) -> str | None:
    for name in sorted(faults):
        if share < faults[name]:
            return name
        share -= faults[name]
    return None
