"""Patterns that every Python from 3.11 on matches alike."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import batchgen

_POSSESSIVE_GROUP = re.compile(rb"(?<!\\)\)(?:[*+?]|\{[0-9,]+\})\+")
_CLASS = re.compile(rb"\[[^\]]*\]")  # in which a parenthesis closes nothing


def _texts() -> Iterator[tuple[str, bytes]]:
    for path in sorted(Path(batchgen.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                text = (
                    node.value.encode("utf-8", "surrogatepass")
                    if isinstance(node.value, str)
                    else node.value
                )
                yield f"{path.name}:{node.lineno}", text


def test_no_pattern_repeats_a_group_possessively() -> None:
    """Before Python 3.11.5 such a repeat ends where its last turn, which failed, had got to.

    `(?>(?:...)*)` does the same everywhere.
    """
    found = [place for place, text in _texts() if _POSSESSIVE_GROUP.search(_CLASS.sub(b".", text))]
    assert found == []
