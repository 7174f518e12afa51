"""Strict `{name}` templates without attributes, indexes and formats; `{{` and `}}` are braces."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache

from batchgen.text import did_you_mean, one_line

MAX_NAME_BYTES = 255  # of a file's or folder's name, on all usual file systems
_TOKEN = re.compile(r"\{\{|\}\}|\{([A-Za-z_][A-Za-z0-9_-]*)\}|[{}]")


class TemplateError(ValueError):
    """An invalid template or an undefined variable; the message says what would be valid."""


def names(text: str) -> frozenset[str]:
    """Return the variables in a template. Raise TemplateError for a stray brace."""
    return _parse(text)[1] if "{" in text or "}" in text else frozenset()


def render(text: str, scope: Callable[[], Mapping[str, str]]) -> str:
    """Return the text with its variables replaced. Raise TemplateError for an undefined one.

    scope: returns the variables; called only if the text has a brace, because few texts have one.
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
        f"`{near}` is not a template variable (letters, digits, _ and - in braces); write {{{{ and"
        " }} for literal braces"
    )


def _undefined(name: str, variables: Mapping[str, str]) -> str:
    hint = did_you_mean(name, variables)
    if hint:
        advice = f"did you mean `{{{hint}}}`?"
    else:
        known = ", ".join(sorted(variables)[:12]) or "none"
        advice = f"the variables here are: {known}; write {{{{{name}}}}} for literal braces"
    return f"template variable `{{{name}}}` is not defined; {advice}"
