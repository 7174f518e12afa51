"""What makes a task the same task in every run: keys, digests, occurrence numbers."""

import re
from array import array
from hashlib import sha256

_SLUG_CHARACTERS = 32
_SHARD_BITS = 8
_SHARD_MASK = (1 << _SHARD_BITS) - 1
_64_BITS = (1 << 64) - 1
_WORDS = re.compile(r"\W+")


def request_digest(endpoint: str, model: str, prompt: str, params: bytes) -> str:
    """32 hex digits over the resolved request; `params` is its canonical JSON."""
    request = f"{endpoint}\0{model}\0".encode() + params + b"\0" + prompt.encode()
    return sha256(request).hexdigest()[:32]


def key_of_id(task_id: str) -> str:
    """The key of a task that has an id."""
    return sha256(b"id\0" + task_id.encode()).hexdigest()[:32]


def key_of_request(digest: str, occurrence: int) -> str:
    """The key of a task without an id: its request, and which of the equal ones it is."""
    return sha256(f"request\0{digest}\0{occurrence}".encode()).hexdigest()[:32]


def slug(text: str, most: int = _SLUG_CHARACTERS) -> str:
    """Lower-case words joined by hyphens, cut at a word's end: `a-fox-ink-front`."""
    whole = _WORDS.sub("-", text[: 4 * most].lower()).strip("-_")
    if len(whole) <= most:
        return whole
    cut = whole[: most + 1].rpartition("-")[0]
    return cut or whole[:most]


class Occurrences:
    """Counts equal things over millions of rows in about 20 bytes each.

    Only the 64 bits of Python's own hash are kept, which is keyed anew in each process: two
    different things among a million are taken for equal with a chance of 3 in 100 million. Many
    small open-addressing tables, so that growing one costs little memory at once.
    """

    def __init__(self) -> None:
        self._shards = [_Shard() for _ in range(_SHARD_MASK + 1)]

    def add(self, thing: bytes | str) -> int:
        """How often this thing was added before."""
        value = hash(thing) & _64_BITS or 1
        shard = self._shards[value & _SHARD_MASK]
        values, mask = shard.values, shard.mask
        slot = (value >> _SHARD_BITS) & mask
        while found := values[slot]:
            if found == value:
                shard.counts[slot] += 1
                return shard.counts[slot]
            slot = (slot + 1) & mask
        values[slot] = value
        shard.room -= 1
        if not shard.room:
            shard.grow()
        return 0


class _Shard:
    """An open-addressing table: 64 bits of a hash, or 0 in a free slot, and how often it came."""

    __slots__ = ("counts", "mask", "room", "values")

    def __init__(self) -> None:
        self._allocate(64)

    def _allocate(self, slots: int) -> None:
        self.values = array("Q", bytes(8 * slots))
        self.counts = array("I", bytes(4 * slots))
        self.mask = slots - 1
        self.room = slots * 3 // 4

    def grow(self) -> None:
        values, counts = self.values, self.counts
        self._allocate(2 * len(values))
        for value, count in zip(values, counts, strict=True):
            if value:
                slot = (value >> _SHARD_BITS) & self.mask
                while self.values[slot]:
                    slot = (slot + 1) & self.mask
                self.values[slot] = value
                self.counts[slot] = count
                self.room -= 1
