"""Plain YAML scalars by the core schema of YAML 1.2.2, section 10.3.2.

PyYAML's own resolver follows YAML 1.1, in which `no` is false, `16:9` a number and `2026-11-23` a
date; here all of them are text. Unlike the schema, a number with leading zeros (`007`) is text
too, because it is an identifier.
"""

import math
import re

from batchgen.types import Json

_TAG = "tag:yaml.org,2002:"
STR_TAGS = frozenset({"!", _TAG + "str"})
SEQ_TAGS = frozenset({None, "!", _TAG + "seq"})
MAP_TAGS = frozenset({None, "!", _TAG + "map"})

_TYPES = {_TAG + "null": type(None), _TAG + "bool": bool, _TAG + "int": int, _TAG + "float": float}
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAY_BE_NUMBER = frozenset("+-.0123456789")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> Json:
    """Return the value of a plain scalar. Raise ValueError if no JSON number can hold it."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    if _INT.fullmatch(text):
        try:
            return int(text, 0)
        except ValueError as error:
            raise ValueError(f"a number of {len(text)} digits is too long; quote it") from error
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a number that can be sent; quote it if it is text")
    if not _FLOAT.fullmatch(text):
        return text
    if math.isinf(value := float(text)):
        raise ValueError(f"the number {text} is too large; quote it if it is text")
    return value


def resolve_tagged(text: str, tag: str) -> Json:
    """Return a scalar in the type of its core tag. Raise ValueError if it has no such form."""
    if tag in STR_TAGS:
        return text
    if tag not in _TYPES:
        raise ValueError(unknown_tag(tag))
    value = resolve(text)
    if _TYPES[tag] is float and type(value) is int:
        return float(value)
    if type(value) is not _TYPES[tag]:
        raise ValueError(f'"{text}" is not of the type {_short(tag)}; remove the tag')
    return value


def unknown_tag(tag: str | None) -> str:
    """Return the message for a tag that is not supported at its place."""
    return f"the tag {_short(tag or '')} is not supported here; remove it"


def _short(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag
