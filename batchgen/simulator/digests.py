"""Numbers derived from texts: seeds, ids, and what generated files look like."""

import hashlib


def number_of(text: str) -> int:
    """Return 48 bits that are the same for the same text."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=6).digest())
