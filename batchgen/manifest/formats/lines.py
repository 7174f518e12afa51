"""Formats with one row per line: JSONL and TXT."""

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
    r"""Yield the rows of a TXT file: one prompt per line, without spaces at its ends.

    Lines that begin with `#` are comments; `\#` begins a prompt with a `#`.
    """
    for number, line in enumerate(lines, 1):
        if lines.problems:
            yield from lines.take_problems()
        elif (prompt := line.strip()) and not prompt.startswith("#"):
            yield Row(label, number, {"prompt": _unescaped(prompt)}, textual=True)
    yield from lines.take_problems()


def _unescaped(prompt: str) -> str:
    return prompt[1:] if prompt.startswith("\\#") else prompt


def read_jsonl(lines: TextLines, label: str) -> Iterator[Row | Problem]:
    """Yield the rows of a JSONL file: each line is an object, or a string that is the prompt.

    Repeated names, NaN, Infinity, numbers beyond a double and lone surrogates are Problems,
    because JSON parsers disagree about them.
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
    """A line of JSONL cannot be read; the message says why, and what to do."""


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
    raise _LineError(f"a line must be a JSON object or a string, not {_type_name(value)}")


def _may_repeat_names(line: str, value: dict[str, Json]) -> bool:
    """Return False if no object of the line repeats a name; msgspec keeps only the last value.

    Each name in the text has a colon, so equal numbers of colons and names show that none was
    lost. Colons in strings make the numbers differ, which only costs a slower check.
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
    """Decode with the standard library, which is slower but allows plain error messages."""
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
        raise _LineError("the JSON is nested too deeply; use fewer levels") from error
    if surrogate := _SURROGATE.search(json.dumps(value, ensure_ascii=False)):
        escape = f"\\u{ord(surrogate[0]):04x}"
        raise _LineError(f"{escape} is half of a surrogate pair, not a character; remove it")
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
        raise _LineError(f"the number {text} is too large; put it in quotes if it is text")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError as error:
        message = f"a number of {len(text)} digits is too long; put it in quotes if it is text"
        raise _LineError(message) from error


def _type_name(value: Json) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
        case _:
            return "a list"
