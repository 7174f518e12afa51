"""Formats of one row a line: JSONL and TXT."""

import json
import re
from collections.abc import Iterator

import msgspec

from batchgen.manifest.formats.decoding import TextLines
from batchgen.types import Json, Problem, Row

_decode = msgspec.json.Decoder().decode
_KEY = re.compile(r'"[ \t\r\n]*:')
_SURROGATE = re.compile("[\ud800-\udfff]")


def read_txt(lines: TextLines, label: str) -> Iterator[Row | Problem]:
    r"""Read a prompt a line, stripped; `#` begins a comment line, `\#` a prompt with a `#`."""
    for number, line in enumerate(lines, 1):
        if lines.problems:
            yield from lines.take_problems()
        elif (prompt := line.strip()) and not prompt.startswith("#"):
            yield Row(label, number, {"prompt": _unescaped(prompt)}, textual=True)
    yield from lines.take_problems()


def _unescaped(prompt: str) -> str:
    return prompt[1:] if prompt.startswith("\\#") else prompt


def read_jsonl(lines: TextLines, label: str) -> Iterator[Row | Problem]:
    """Read an object a line, or a string, which is a row with only a prompt.

    A name given twice, NaN, Infinity, numbers beyond a double and lone surrogates are Problems:
    parsers do not agree on what they mean.
    """
    for number, line in enumerate(lines, 1):
        if lines.problems:
            yield from lines.take_problems()
        elif not line.isspace():
            try:
                yield Row(label, number, _fields(line))
            except _LineError as error:
                yield Problem(label, number, str(error))
    yield from lines.take_problems()


class _LineError(ValueError):
    """What is wrong with one line of JSONL, in words for a person."""


def _fields(line: str) -> dict[str, Json]:
    try:
        value = _decode(line)
    except (msgspec.MsgspecError, RecursionError) as error:
        value = _decode_carefully(line)
        raise _LineError(f"not valid JSON: {error}") from error
    if type(value) is dict:
        if _may_repeat_names(line, value):
            _decode_carefully(line)
        return value
    if isinstance(value, str):
        return {"prompt": value}
    raise _LineError(f"a line must hold a JSON object or a string, not {_name_of(value)}")


def _may_repeat_names(line: str, value: dict[str, Json]) -> bool:
    """Tell cheaply that no object of the line gives a name twice: msgspec would keep the last.

    Every name in the text has its colon, so as many colons as names in the value mean that
    none was lost. Colons within strings only cost the closer look.
    """
    names = len(value) if line.count("{") == 1 else _count_names(value)
    return line.count(":") != names and len(_KEY.findall(line)) != names


def _count_names(value: Json) -> int:
    match value:
        case dict():
            return len(value) + sum(map(_count_names, value.values()))
        case list():
            return sum(map(_count_names, value))
        case _:
            return 0


def _decode_carefully(line: str) -> Json:
    """Decode with the standard library, slower, whose refusals can be told in plain words."""
    try:
        value: Json = json.loads(
            line,
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_integer,
        )
    except json.JSONDecodeError as error:
        raise _LineError(f"not valid JSON at column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise _LineError("the JSON is nested too deeply") from error
    if surrogate := _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        escape = f"\\u{ord(surrogate[0]):04x}"
        raise _LineError(f"{escape} is half of a surrogate pair and no character; remove it")
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    fields: dict[str, Json] = {}
    for name, value in pairs:
        if name in fields:
            raise _LineError(f'"{name}" is given twice in one object; keep one of them')
        fields[name] = value
    return fields


def _no_constant(text: str) -> Json:
    raise _LineError(f"{text} is not a JSON number; leave the field out or give a number")


def _finite(text: str) -> float:
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise _LineError(f"the number {text} is too large")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        raise _LineError(f"a number of {len(text)} digits is too long") from error


def _name_of(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return "a list"
