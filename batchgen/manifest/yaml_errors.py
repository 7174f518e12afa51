"""What is wrong with a YAML file, in plain words instead of the parser's."""

import yaml

from batchgen.manifest.values import MAX_DEPTH

_QUOTE_IT = "put the text in quotes"
TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep; a job needs a handful"
_ADVICE = (
    ("maximum nesting depth", TOO_DEEP),  # the parser's own bound, which is higher
    (
        "mapping values are not allowed",
        f"`: ` cannot stand here; {_QUOTE_IT} if it is part of one, or else mend the indentation",
    ),
    ("',' or ']'", "a list is opened here by `[`, and its `,` or `]` is missing"),
    ("',' or '}'", "a mapping is opened here by `{`, and its `,` or `}` is missing"),
    ("expected '-' indicator", "this belongs to no list; align it with its neighbours"),
    ("did not find expected key", "this belongs to nothing above; align it with its neighbours"),
    ("could not find expected ':'", f"a key without its `: `; {_QUOTE_IT} if it is one"),
    ("unexpected end of stream", "a quote is opened here and never closed"),
    ("unknown escape", r"unknown escape in a double-quoted text; write `\\` for a backslash"),
    ("scanning an alias", f"`*` begins an alias; {_QUOTE_IT} if the star is part of it"),
    ("scanning an anchor", f"`&` begins an anchor; {_QUOTE_IT} if the sign is part of it"),
    # libyaml 0.2.6 itself refuses a thousand levels, before they are counted here.
    ("maximum nesting depth", "nested more than 64 levels deep; a job needs a handful"),
    ("tab character", "the line is indented with a tab; YAML takes spaces only"),
    (
        "cannot start any token",
        "nothing begins like this; indent with spaces, and quote a text that begins with @, % or `",
    ),
)
# Of these the parser marks the end of the file or of the list; where it began is of more use.
_TOLD_AT_BEGINNING = ("',' or ']'", "',' or '}'", "unexpected end of stream")


def explain(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Tell the line (from 1; 0 when unknown) and the trouble."""
    trouble = f"{error.problem or ''} {error.context or ''}".strip()
    mark = error.problem_mark or error.context_mark
    if error.context_mark and any(part in trouble for part in _TOLD_AT_BEGINNING):
        mark = error.context_mark
    advice = (told for part, told in _ADVICE if part in trouble)
    return (mark.line + 1 if mark else 0), next(advice, f"not valid YAML: {trouble}")
