"""Topics of error replies: codes and wordings by which a provider's error is recognised.

A code is compared without case and punctuation, so that `insufficient_quota` and
`InsufficientQuota` are the same; `*` stands for any text. Wordings are regular expressions over the
message in lower case. Quoted passages are left out: they repeat the request.
"""

import re
from fnmatch import fnmatchcase
from functools import cached_property

import msgspec

_PUNCTUATION = re.compile(r"[^a-z0-9*]+")
_QUOTED = re.compile(  # an apostrophe inside of a word ("isn't") neither begins nor ends a quote
    r"(?<!\w)'(?:[^'\n]|(?<=\w)'(?=\w)){12,}'(?!\w)|\"[^\"\n]{12,}\"|`[^`\n]{12,}`|“[^”\n]{12,}”"
)
_BLANKS = re.compile(r"\s+")
_REPEATED_MESSAGE = re.compile(r"""(["'](?:message|msg|detail)\\?["']\s*:\s*)\\?["']""")
_MEDIA_TYPE = re.compile(r"\bcontent[- _](type|length|encoding|disposition)\b", re.IGNORECASE)
_APOSTROPHES = str.maketrans({"’": "'", "ʼ": "'", "‘": "'"})  # noqa: RUF001  # apostrophes


class Wordings:
    """Regular expressions over plain texts; compiled when first used, as most runs need none."""

    def __init__(self, *patterns: str) -> None:
        self._patterns = patterns

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile("|".join(f"(?:{pattern})" for pattern in self._patterns))

    def are_in(self, text: str) -> bool:
        """Return whether a text, as `plain_text` returns it, has one of the wordings."""
        return self._compiled.search(text) is not None


class Topic(msgspec.Struct, frozen=True):
    """What a kind of error is recognised by.

    codes: patterns of codes, in lower case and without punctuation. except_codes: patterns that
    look alike and mean something else. words: wordings of messages.
    code_examples, word_examples: for people.
    """

    codes: tuple[str, ...] = ()
    except_codes: tuple[str, ...] = ()
    words: Wordings | None = None
    code_examples: tuple[str, ...] = ()
    word_examples: tuple[str, ...] = ()

    def has_code(self, codes: tuple[str, ...]) -> bool:
        """Return whether one of the codes of a reply belongs to the topic."""
        return any(
            any(fnmatchcase(code, pattern) for pattern in self.codes)
            and not any(fnmatchcase(code, pattern) for pattern in self.except_codes)
            for code in map(plain_code, codes)
        )

    def has_words(self, text: str) -> bool:
        """Return whether a text, as `plain_text` returns it, has a wording of the topic."""
        return self.words is not None and self.words.are_in(text)


def plain_code(code: str) -> str:
    """Return a code in lower case without punctuation."""
    return _PUNCTUATION.sub("", code.casefold())


def plain_text(message: str) -> str:
    """Return a message in lower case, without long quoted passages and with single blanks.

    The message of an error that this one repeats is no quotation. The names of HTTP fields such as
    `Content-Type` become one word: they say nothing about contents.
    """
    text = _REPEATED_MESSAGE.sub(r"\1 ", message.translate(_APOSTROPHES))
    text = _QUOTED.sub(" ", _MEDIA_TYPE.sub(r"content\1", text))
    return _BLANKS.sub(" ", text).casefold()
