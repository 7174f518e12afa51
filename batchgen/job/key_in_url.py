"""Refuse keys in the addresses of providers: an address is printed and stored, a key is not."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote

_NAME = re.compile(
    r"auth|key|token|secret|cookie|passw|pwd|sig(?:nature)?$|credential|^code$|^sas$|jwt",
    re.IGNORECASE,
)
_PREFIXED = re.compile(r"(?:sk|pk|rk|key|xai|gsk|r8|hf|Bearer)[-_ ][A-Za-z0-9_-]{12,}")
_HEXADECIMAL = re.compile(r"[0-9a-fA-F]{32,}")
_MIXED = re.compile(r"(?=.*[0-9])(?=.*[a-z])(?=.*[A-Z])[A-Za-z0-9_+/=.-]{24,}")
_MIN_LENGTH = 6


def key_in_query(url: str) -> str | None:
    """Return the name of a parameter that holds a key, by its name or its look; else None."""
    for name, value in parse_qsl(url.partition("?")[2], keep_blank_values=True):
        is_key = any(look.fullmatch(value) for look in (_PREFIXED, _HEXADECIMAL, _MIXED))
        if is_key or _NAME.search(name):
            return name
    return None


def variable_in_urls(
    urls: Mapping[str, str], variables: tuple[str, ...], environment: Mapping[str, str]
) -> tuple[str, str] | None:
    """Return the label of a URL and the variable whose value is in it; None if there is none."""
    return next(_variables_in(urls, variables, environment), None)


def _variables_in(
    urls: Mapping[str, str], variables: tuple[str, ...], environment: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    for label, url in urls.items():
        texts = (url, unquote(url))
        for name in variables:
            value = environment.get(name, "").strip()
            if len(value) >= _MIN_LENGTH and any(value in text for text in texts):
                yield label, name
