"""`python -m tests.words [PATH ...]`: report words that the project does not use.

Reads docstrings, comments, strings, names and file names of the Python files, and the text of the
other files in `_PLACES`, or those below each PATH.
"""

import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

_PLACES = (
    "batchgen/**/*.py", "tests/**/*.py", "README.md", "CHANGELOG.md", "docs/*.md",
    "jobs/**/*.yaml", "batchgen/**/*.html", "batchgen/**/*.css", "batchgen/**/*.js",
    "batchgen/**/*.yaml", "Makefile", "pyproject.toml",
)  # fmt: skip
# Each entry says why the file may use the word. An empty word allows all words.
ALLOWED = {
    ("batchgen/cli/verify.py", "mended"): "a key of `verify --json`, which must not change",
    ("tests/words.py", ""): "it lists the words",
    ("tests/test_word_list.py", ""): "its examples contain the words",
    ("tests/storage/test_verify.py", "mended"): "a key of `verify --json`",
}

# Between the words of a phrase, which may continue on the next line.
_GAP = r"(?:[\s#\"'\\>*]|f(?=[\"']))+"
_HABITS = {
    r"told": "write report, log, print or return; name a variable by what it holds",
    r"tells?": "write report, log, print, return, show or distinguish",
    r"bef(?:all|ell)\w*": "write happen to, or name the error",
    r"whoever": "name the person or the program",
    rf"bears{_GAP}it": "write supports or allows",
    r"mend(?:s|ed|ing)?": "write fix or repair",
    r"anew": "write again",
    rf"came{_GAP}of": "write result",
    rf"comes{_GAP}to": "write is, adds up to or results in",
    r"nobody": "name the program or person, or use the passive: not started, not read",
    rf"as{_GAP}it{_GAP}stands": "write as it is, or unchanged",
}
_REFUSED = [(re.compile(rf"\b{word}\b", re.IGNORECASE), hint) for word, hint in _HABITS.items()]
_REFUSED_NAMES = [
    *_REFUSED,
    (re.compile(r"\bshown\b", re.IGNORECASE), "name a variable by what it holds"),
]
# Where snake_case, CamelCase and an escaped end of line in a string are split into words.
_EDGE = re.compile(r"_|\\[nrt]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_IO_METHOD = re.compile(r"\. ?tell ?\( ?\)")
_PROSE = {"STRING", "COMMENT", "FSTRING_START", "FSTRING_MIDDLE", "FSTRING_END"}
_CODE = {"NAME", "OP", "NUMBER"}


class Finding(msgspec.Struct, frozen=True):
    """A refused word, and what to write instead; `line` counts from 1."""

    path: str
    line: int
    word: str
    advice: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.word}: {self.advice}"


def findings(path: str, text: str) -> Iterator[Finding]:
    """Yield the refused words in a file's name and text; `path` is relative to the project."""
    prose, names = _parts(text) if path.endswith(".py") else (text, "")
    for part, refused in ((path, _REFUSED_NAMES), (prose, _REFUSED), (names, _REFUSED_NAMES)):
        words = _EDGE.sub(" ", _IO_METHOD.sub("", part))
        for pattern, advice in refused:
            for match in pattern.finditer(words):
                word = " ".join(re.split(_GAP, match[0].lower()))
                if not {(path, ""), (path, word)} & ALLOWED.keys():
                    yield Finding(path, words.count("\n", 0, match.start()) + 1, word, advice)


def _parts(source: str) -> tuple[str, str]:
    """Split Python source into its prose and its names; every word keeps its line."""
    prose, code = [], []
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        kind, line = tokenize.tok_name[token.type], token.start[0]
        if kind in _PROSE:
            prose.append((line, token.string))
        elif kind in _CODE:
            prose.append((line, ";"))  # a phrase ends at code
            code.append((line, token.string))
    return _on_lines(prose), _on_lines(code)


def _on_lines(words: Iterable[tuple[int, str]]) -> str:
    text, current = "", 1
    for line, word in words:
        text += "\n" * (line - current) + " " + word
        current = line + word.count("\n")
    return text


def main(places: Iterable[str]) -> int:
    """Print the findings in these files and folders; return 1 if there are any.

    Exit with a message if a file or folder does not exist.
    """
    below = [Path(place) for place in places]
    if missing := [place for place in below if not place.exists()]:
        sys.exit(f"{missing[0]}: no such file or folder")
    files = sorted({file for glob in _PLACES for file in Path().glob(glob)})
    found = [
        finding
        for file in files
        if any(file.is_relative_to(place) for place in below)
        for finding in findings(file.as_posix(), file.read_text("utf-8"))
    ]
    sys.stdout.writelines(f"{finding}\n" for finding in found)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or ["."]))
