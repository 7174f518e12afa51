"""The word check of `make lint` (tests/words.py): what it reads, and what it refuses."""

from pathlib import Path

import pytest

from tests.words import ALLOWED, findings, main


def _words(text: str, path: str = "batchgen/x.py") -> list[tuple[int, str]]:
    return [(finding.line, finding.word) for finding in findings(path, text)]


@pytest.mark.parametrize(
    "source",
    [
        '"""Nobody reads this."""',
        "# nobody reads this",
        'message = f"{count}: nobody reads this"',
        "def test_that_nobody_reads(): ...",
        "class ReadByNobody: ...",
        "_NOBODY = 1",
        "HTTPNobody = 1",
        r'message = "first\nnobody"',
    ],
)
def test_prose_and_names_of_python_are_read(source: str) -> None:
    assert _words(f"\n{source}\n") == [(2, "nobody")]


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""Return the\nresult that came\nof a request."""', 2),
        ('message = ("what came"\n    f" of {request}")', 1),
        ("# what came\n# of a request", 1),
        ("def what_came_of(request): ...", 1),
    ],
)
def test_a_phrase_is_found_across_the_end_of_a_line(source: str, line: int) -> None:
    assert _words(source) == [(line, "came of")]


def test_a_phrase_ends_where_code_comes_between() -> None:
    assert _words('first, second = "came", "of"') == []


@pytest.mark.parametrize("path", ["README.md", "jobs/a/b.yaml", "batchgen/a.js", "Makefile"])
def test_other_files_are_read_as_text(path: str) -> None:
    assert _words("a\nwhat it comes\nto, and toldLines", path) == [(3, "told"), (2, "comes to")]


def test_a_file_name_is_read() -> None:
    assert _words("", "docs/nobody_reads.md") == [(1, "nobody")]


def test_shown_is_refused_as_a_name_alone() -> None:
    assert _words('shown = "the line is shown"  # and shown') == [(1, "shown")]


@pytest.mark.parametrize(
    "source",
    [
        "at = file.tell()",
        '"""Use `file.tell()`."""',
        "# recommend, amend, toll, become of, welcomes to, amended",
        "ManifestError = recommended_order",
    ],
)
def test_near_words_and_the_io_method_are_allowed(source: str) -> None:
    assert _words(source) == []


def test_a_finding_names_the_file_the_line_the_word_and_the_advice() -> None:
    (finding,) = findings("docs/a.md", "first\nto mend it\n")
    assert str(finding) == "docs/a.md:2: mend: write fix or repair"


@pytest.mark.parametrize(("path", "word"), ALLOWED)
def test_every_exception_is_still_needed(
    path: str, word: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(ALLOWED, (path, word))
    found = findings(path, Path(path).read_text("utf-8"))
    assert any(word in ("", finding.word) for finding in found)


def test_the_check_fails_if_it_finds_anything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("docs").mkdir()
    Path("docs/a.md").write_text("fixed\n")
    Path("README.md").write_text("mended\n")

    assert main(["docs"]) == 0
    assert main(["."]) == 1
    assert capsys.readouterr().out == "README.md:1: mended: write fix or repair\n"


def test_a_place_that_does_not_exist_is_an_error() -> None:
    with pytest.raises(SystemExit, match="no-such-folder: no such file or folder"):
        main(["no-such-folder"])
