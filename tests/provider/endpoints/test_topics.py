"""The text in which wordings of errors are looked for."""

import pytest

from batchgen.provider.endpoints.topics import plain_text


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("You've run out of credits. If that isn't right, write to us",
         "you've run out of credits. if that isn't right, write to us"),
        ("You\u2019ve run out of credits; it\u2019s over", "you've run out of credits; it's over"),
        ("the prompt 'a fox without credits' is too long", "the prompt is too long"),
        ("the prompt 'a fox that isn't out of credits' is too long", "the prompt is too long"),
        ("You've sent 'a fox without credits', which isn't allowed",
         "you've sent , which isn't allowed"),
        ('the prompt "a fox without credits" is too long', "the prompt is too long"),
        ("unknown size '9x9'", "unknown size '9x9'"),
    ],
)  # fmt: skip
def test_quoted_passages_are_left_out_and_apostrophes_quote_nothing(
    message: str, text: str
) -> None:
    assert plain_text(message) == text
