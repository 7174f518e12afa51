"""What makes a task the same task in every run: keys, digests, occurrence numbers."""

import re
from collections.abc import Callable, Iterable
from hashlib import sha256

_SLUG_CHARACTERS = 32
_BUCKETS = 1 << 15
_ENTRY_BYTES = 7  # six of the hash, besides those that choose the shelf, and a count
_MAX_IN_BYTE = 255
_WORDS = re.compile(r"\w+")
_ID = sha256(b"id\0")


def request_digest(endpoint: str, model: str, prompt: str, params: bytes) -> str:
    """32 hex digits over the resolved request; `params` is its canonical JSON."""
    return request_digests(endpoint, model, params)(prompt)


def request_digests(endpoint: str, model: str, params: bytes) -> Callable[[str], str]:
    """What gives `request_digest` for one prompt after the other."""
    begun = sha256(f"{endpoint}\0{model}\0".encode() + params + b"\0")

    def digest(prompt: str) -> str:
        request = begun.copy()
        request.update(prompt.encode())
        return request.hexdigest()[:32]

    return digest


def digest_with_artifacts(digest: str, contents: Iterable[str]) -> str:
    """The digest of a request that sends artifacts of other tasks along, by their hashes."""
    return sha256("\0".join((digest, *contents)).encode()).hexdigest()[:32]


def key_of_id(task_id: str) -> str:
    """The key of a task that has an id."""
    begun = _ID.copy()  # half the time of a new one
    begun.update(task_id.encode())
    return begun.hexdigest()[:32]


def key_of_request(digest: str, occurrence: int) -> str:
    """The key of a task without an id: its request, and which of the equal ones it is."""
    return sha256(f"request\0{digest}\0{occurrence}".encode()).hexdigest()[:32]


def slug(text: str) -> str:
    """Lower-case words joined by hyphens, cut at a word's end: `a-fox-ink-front`."""
    whole = "-".join(_WORDS.findall(text[: 4 * _SLUG_CHARACTERS].lower())).strip("-_")
    if len(whole) <= _SLUG_CHARACTERS:
        return whole
    cut = whole[: _SLUG_CHARACTERS + 1].rpartition("-")[0]
    return cut or whole[:_SLUG_CHARACTERS]


class Occurrences:
    """Counts equal things over millions of rows in about ten bytes each.

    Only 63 bits of Python's own hash are kept, which is keyed anew in each process: two different
    things among a million are taken for equal with a chance of 6 in 100 million. They stand one
    after the other in many short byte strings, which are searched at the speed of C.
    """

    def __init__(self) -> None:
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._overflow: dict[bytes | str, int] = {}  # what came too often for its byte
        self.is_empty = True

    def add(self, thing: bytes | str) -> int:
        """How often this thing was added before."""
        value = hash(thing)
        fingerprint = value.to_bytes(8, "little", signed=True)[2:]
        bucket = self._buckets[value % _BUCKETS]
        if bucket is None:
            self.is_empty = False
            self._buckets[value % _BUCKETS] = bytearray(fingerprint + b"\0")
            return 0
        at = bucket.find(fingerprint)
        if at > 0 and at % _ENTRY_BYTES:
            at = _next(bucket, fingerprint, at)
        if at < 0:
            bucket += fingerprint + b"\0"
            return 0
        return self._again(thing, bucket, at + len(fingerprint))

    def has(self, thing: bytes | str) -> bool:
        """Whether this thing was added."""
        value = hash(thing)
        fingerprint = value.to_bytes(8, "little", signed=True)[2:]
        bucket = self._buckets[value % _BUCKETS]
        return bucket is not None and _next(bucket, fingerprint, -1) >= 0

    def _again(self, thing: bytes | str, bucket: bytearray, at: int) -> int:
        if bucket[at] < _MAX_IN_BYTE:
            bucket[at] += 1
            return bucket[at]
        self._overflow[thing] = self._overflow.get(thing, _MAX_IN_BYTE) + 1
        return self._overflow[thing]


def _next(bucket: bytearray, fingerprint: bytes, at: int) -> int:
    """Where a mark stands as an entry behind `at`, and not across two of them; -1 for nowhere."""
    at = bucket.find(fingerprint, at + 1)
    while at > 0 and at % _ENTRY_BYTES:
        at = bucket.find(fingerprint, at + 1)
    return at
