"""Plain YAML scalars by the core schema of YAML 1.2.2, section 10.3.2.

PyYAML's own resolver follows YAML 1.1, where `no` is false, `16:9` a number and `2026-11-23` a
date; here all of them are text. One step beyond the schema: a number with leading zeros (`007`)
is text too, because it is an identifier whose zeros count.
"""

import math
import re

from batchgen.types import Json

_TAG = "tag:yaml.org,2002:"
STR_TAGS = frozenset({"!", _TAG + "str"})
SEQ_TAGS = frozenset({None, "!", _TAG + "seq"})
MAP_TAGS = frozenset({None, "!", _TAG + "map"})

_TYPES = {
    _TAG + "null": "null",
    _TAG + "bool": "bool",
    _TAG + "int": "int",
    _TAG + "float": "float",
}
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_MAY_BE_NUMBER = frozenset("+-.0123456789")
_DECIMAL = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_BASED = re.compile(r"0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")


def resolve(text: str) -> Json:
    """Give a plain scalar its value. Raises ValueError for what no JSON number can hold."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _MAY_BE_NUMBER:
        return text
    if _DECIMAL.fullmatch(text):
        return _integer(text, 10)
    if _BASED.fullmatch(text):
        return _integer(text, 0)
    if _FLOAT.fullmatch(text):
        return _finite(text)
    if _NOT_FINITE.fullmatch(text):
        raise ValueError(f"{text} is not a number that can be sent; quote it if it is text")
    return text


def resolve_tagged(text: str, tag: str) -> Json:
    """Give a scalar the type its core tag names. Raises ValueError where it has no such form."""
    if tag in STR_TAGS:
        return text
    wanted = _TYPES.get(tag)
    if wanted is None:
        raise ValueError(f"the tag {_shown(tag)} is not understood; remove it")
    value = resolve(text)
    if wanted == "float" and type(value) is int:
        return float(value)
    if wanted != {type(None): "null", bool: "bool", int: "int", float: "float"}.get(type(value)):
        raise ValueError(f'"{text}" is not what the tag {_shown(tag)} promises; remove the tag')
    return value


def check_tag(tag: str | None, allowed: frozenset[str | None]) -> None:
    """Raise ValueError unless a collection's tag is the core one or absent."""
    if tag not in allowed:
        raise ValueError(f"the tag {_shown(tag or '')} is not understood here; remove it")


def _shown(tag: str) -> str:
    return f"!!{tag.removeprefix(_TAG)}" if tag.startswith(_TAG) else tag


def _integer(text: str, base: int) -> int:
    try:
        return int(text, base)
    except ValueError as error:
        raise ValueError(f"a number of {len(text)} digits is too long; quote it") from error


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text} is too large; quote it if it is text")
    return value
