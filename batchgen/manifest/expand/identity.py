"""Identity of tasks across runs: keys, digests, occurrence numbers, and slugs for ids."""

import re
from collections.abc import Callable, Iterable
from hashlib import sha256

_SLUG_CHARACTERS = 32
_BUCKETS = 1 << 15
_ENTRY_BYTES = 7  # six of the hash (the others choose the bucket), and a count
_MAX_IN_BYTE = 255
_WORDS = re.compile(r"\w+")
_ID = sha256(b"id\0")


def request_digest(endpoint: str, model: str, prompt: str, params: bytes) -> str:
    """Return 32 hex digits over a resolved request; params: its canonical JSON."""
    return request_digests(endpoint, model, params)(prompt)


def request_digests(endpoint: str, model: str, params: bytes) -> Callable[[str], str]:
    """Return a function that returns `request_digest` for a prompt; the other parts are fixed."""
    start = sha256(f"{endpoint}\0{model}\0".encode() + params + b"\0")

    def digest(prompt: str) -> str:
        request = start.copy()
        request.update(prompt.encode())
        return request.hexdigest()[:32]

    return digest


def digest_with_artifacts(digest: str, contents: Iterable[str]) -> str:
    """Return the digest of a request that sends artifacts of other tasks.

    digest: that of the request alone. contents: the SHA-256 of each artifact.
    """
    return sha256("\0".join((digest, *contents)).encode()).hexdigest()[:32]


def key_of_id(task_id: str) -> str:
    """Return the key of a task with an id."""
    key = _ID.copy()  # takes half the time of a new hash
    key.update(task_id.encode())
    return key.hexdigest()[:32]


def key_of_request(digest: str, occurrence: int) -> str:
    """Return the key of a task without an id; occurrence: its number among equal requests."""
    return sha256(f"request\0{digest}\0{occurrence}".encode()).hexdigest()[:32]


def slug(text: str) -> str:
    """Return at most 32 characters: lower-case words with hyphens, such as `a-fox-ink-front`."""
    whole = "-".join(_WORDS.findall(text[: 4 * _SLUG_CHARACTERS].lower())).strip("-_")
    if len(whole) <= _SLUG_CHARACTERS:
        return whole
    cut = whole[: _SLUG_CHARACTERS + 1].rpartition("-")[0]
    return cut or whole[:_SLUG_CHARACTERS]


class Occurrences:
    """Counts equal values among millions in about ten bytes each.

    Only 63 bits of Python's own hash are kept; its key differs in each process. Among a million
    values, two different ones count as equal with a probability of 6 in 100 million. The entries
    are in many short byte strings, which `bytearray.find` searches quickly.
    """

    def __init__(self) -> None:
        self._buckets: list[bytearray | None] = [None] * _BUCKETS
        self._overflow: dict[bytes | str, int] = {}  # counts that do not fit into a byte
        self.is_empty = True

    def add(self, value: bytes | str) -> int:
        """Add a value; return how often it was added before."""
        hashed = hash(value)
        fingerprint = hashed.to_bytes(8, "little", signed=True)[2:]
        bucket = self._buckets[hashed % _BUCKETS]
        if bucket is None:
            self.is_empty = False
            self._buckets[hashed % _BUCKETS] = bytearray(fingerprint + b"\0")
            return 0
        at = bucket.find(fingerprint)
        if at > 0 and at % _ENTRY_BYTES:
            at = _next(bucket, fingerprint, at)
        if at < 0:
            bucket += fingerprint + b"\0"
            return 0
        return self._increment(value, bucket, at + len(fingerprint))

    def has(self, value: bytes | str) -> bool:
        """Return whether a value was added."""
        hashed = hash(value)
        fingerprint = hashed.to_bytes(8, "little", signed=True)[2:]
        bucket = self._buckets[hashed % _BUCKETS]
        return bucket is not None and _next(bucket, fingerprint, -1) >= 0

    def _increment(self, value: bytes | str, bucket: bytearray, at: int) -> int:
        if bucket[at] < _MAX_IN_BYTE:
            bucket[at] += 1
            return bucket[at]
        self._overflow[value] = self._overflow.get(value, _MAX_IN_BYTE) + 1
        return self._overflow[value]


def _next(bucket: bytearray, fingerprint: bytes, at: int) -> int:
    """Return the position of the entry with a fingerprint after `at`, or -1.

    A match that spans two entries does not count.
    """
    at = bucket.find(fingerprint, at + 1)
    while at > 0 and at % _ENTRY_BYTES:
        at = bucket.find(fingerprint, at + 1)
    return at
