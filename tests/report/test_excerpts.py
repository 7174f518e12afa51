"""Texts among the artifacts, as far as a page can bear them."""

from pathlib import Path

from batchgen.report.excerpts import CHARACTERS, Excerpts
from tests.given import an_artifact


def test_the_beginnings_of_texts_are_read_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A fox.")
    (tmp_path / "b.json").write_bytes(b'{"a": "\xff"}' + b" " * CHARACTERS)
    artifacts = (
        an_artifact("a.txt", media_type="text/plain"),
        an_artifact("b.json", media_type="application/json"),
        an_artifact("c.png"),
        an_artifact("gone.md", media_type="text/markdown"),
    )
    text, json, *others = Excerpts(tmp_path).of(artifacts)
    assert text == "A fox."
    assert json is not None
    assert json.startswith('{"a": "\N{REPLACEMENT CHARACTER}"}')
    assert (len(json), json[-1]) == (CHARACTERS + 1, "…")
    assert others == [None, None]


def test_a_page_takes_only_so_many_texts(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A fox.")
    excerpts = Excerpts(tmp_path, most=6)
    artifact = an_artifact("a.txt", media_type="text/plain")
    assert excerpts.of([artifact, artifact]) == ["A fox.", None]
