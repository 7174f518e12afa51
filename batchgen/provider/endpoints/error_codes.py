"""The codes in the message of an error. Pure.

Gateways repeat the error of another provider as text: {'error': {'code': 'insufficient_quota'}}.
"""

import re
from collections.abc import Iterator

from batchgen.types import Json

_MAX_TEXT = 4000  # characters
# An identifier as a whole message, or before its colon: "INVALID_API_KEY: check it".
_IDENTIFIER = re.compile(
    r"(?:[A-Za-z][a-z0-9]*(?:_[A-Za-z0-9]+)+|(?:[A-Z][a-z0-9]+){2,}|[A-Z]+(?:_[A-Z0-9]+)+)\.?"
)
_LEADING = re.compile(r"((?:[A-Z][a-z0-9]+){2,}|[A-Z]+(?:_[A-Z0-9]+)+): ")
_CAPITALS = re.compile(r"\b[A-Z]{2,}(?:_[A-Z0-9]+)+\b|(?<=: )[A-Z]{5,}(?=\.?$)")
# A field of an error that a message repeats: {'code': 'insufficient_quota'}.
_REPEATED = re.compile(
    r"""\\?["'](?:code|type|status|reason)\\?["']\s*:\s*\\?["']([A-Za-z][A-Za-z0-9_.-]{2,80})\\?["']"""
)


def codes_in_text(text: Json) -> Iterator[str]:
    """Yield the codes in a message: it is one, begins with one, or repeats an error with some."""
    if not isinstance(text, str):
        return
    head = text[:_MAX_TEXT].strip()
    if _IDENTIFIER.fullmatch(head):
        yield head.rstrip(".")
    if leading := _LEADING.match(head):
        yield leading[1]
    yield from _REPEATED.findall(head)
    yield from _CAPITALS.findall(head)
