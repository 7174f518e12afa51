"""Faults drawn from the seed, so that a run with the same seed fails the same way."""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping

import msgspec

from batchgen.simulator.fault_names import FILE_FAULTS, JOB_FAULTS, POLL_FAULTS

_MAX_IDENTITIES = 100_000  # identities whose attempts are counted; older ones start again at 0
_SHARE_BYTES = 6


class Draw(msgspec.Struct, frozen=True):
    """The fault of a request, if any; `share` (0 to 1) decides its latency."""

    fault: str | None
    share: float


class FaultDraws:
    """Draws for requests by seed, identity, and how often it was drawn for that identity.

    The order in which parallel requests arrive makes no difference, and the second attempt of a
    task has a draw independent of its first.
    """

    def __init__(self, seed: int, faults: Mapping[str, float]) -> None:
        self._seed = seed
        groups = (FILE_FAULTS, POLL_FAULTS, JOB_FAULTS)
        self._file, self._poll, self._job = (
            {name: share for name, share in faults.items() if name in group} for group in groups
        )
        others = self._file | self._poll | self._job
        self._generation = {name: share for name, share in faults.items() if name not in others}
        self._times: OrderedDict[bytes, int] = OrderedDict()

    def generation(self, identity: str) -> Draw:
        """Draw for a paid request; its identity is its idempotency key or body."""
        return self._draw(f"generation\n{identity}", self._generation)

    def file(self, identity: str) -> Draw:
        """Draw for a request for a file; its identity is the path."""
        return self._draw(f"file\n{identity}", self._file)

    def poll(self, identity: str) -> Draw:
        """Draw for a poll of a remote job; its identity is that of the submission."""
        return self._draw(f"poll\n{identity}", self._poll)

    def job(self, identity: str) -> Draw:
        """Draw for a remote job; its identity is that of the submission."""
        return self._draw(f"job\n{identity}", self._job)

    def _draw(self, identity: str, faults: Mapping[str, float]) -> Draw:
        key = hashlib.blake2b(identity.encode("utf-8", "replace"), digest_size=16).digest()
        times = self._times.pop(key, 0)
        self._times[key] = times + 1
        if len(self._times) > _MAX_IDENTITIES:
            self._times.popitem(last=False)
        digest = hashlib.blake2b(key + f"{self._seed} {times}".encode()).digest()
        return Draw(
            _fault_at(_share(digest[:_SHARE_BYTES]), faults), _share(digest[-_SHARE_BYTES:])
        )


def _share(digest: bytes) -> float:
    return int.from_bytes(digest) / (1 << 8 * len(digest))


def _fault_at(share: float, faults: Mapping[str, float]) -> str | None:
    for name in sorted(faults):
        if share < faults[name]:
            return name
        share -= faults[name]
    return None
