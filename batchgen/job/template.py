"""Strict `{name}` templates: no attribute, no index, no format; `{{` and `}}` are braces."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from batchgen.text import did_you_mean, one_line

MAX_NAME_BYTES = 255  # of a file's or folder's name, on all usual file systems
_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}|[{}]")


class TemplateError(ValueError):
    """A template that cannot be read or names what is not there; the message says what is right."""


def names(text: str) -> frozenset[str]:
    """The variables that a template names; raises TemplateError for a stray brace."""
    return _parse(text)[1] if "{" in text or "}" in text else frozenset()


def render(text: str, scope: Callable[[], Mapping[str, str]]) -> str:
    """The text with its variables filled in; raises TemplateError for one that is not there.

    scope: gives the variables; asked only where the text has a brace, as few of a million have.
    """
    if "{" not in text and "}" not in text:
        return text
    variables = scope()
    rendered = []
    for literal, name in _parse(text)[0]:
        rendered.append(literal)
        if name:
            if name not in variables:
                raise TemplateError(_undefined(name, variables))
            rendered.append(variables[name])
    return "".join(rendered)


@lru_cache(maxsize=4096)
def _parse(text: str) -> tuple[tuple[tuple[str, str], ...], frozenset[str]]:
    parts = []
    literal = ""
    end = 0
    for token in _TOKEN.finditer(text):
        literal += text[end : token.start()]
        end = token.end()
        if token[1]:
            parts.append((literal, token[1]))
            literal = ""
        elif token[0] in ("{{", "}}"):
            literal += token[0][0]
        else:
            raise TemplateError(_stray(text, token.start()))
    parts.append((literal + text[end:], ""))
    return tuple(parts), frozenset(name for _, name in parts if name)


def _stray(text: str, position: int) -> str:
    near = one_line(text[position : position + 24], 24)
    return (
        f"`{near}` is no template variable (letters, digits, _ and - in braces); write {{{{ and"
        " }} for braces that are meant as they are"
    )


def _undefined(name: str, variables: Mapping[str, str]) -> str:
    hint = did_you_mean(name, variables)
    there = ", ".join(sorted(variables)[:12]) or "none"
    if hint:
        right = f"did you mean `{{{hint}}}`?"
    else:
        right = f"the variables here are: {there}; write {{{{{name}}}}} for braces as they are"
    return f"template variable `{{{name}}}` is not defined; {right}"
