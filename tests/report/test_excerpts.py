"""Excerpts of text files up to a limit, and the shapes of vectors."""

from pathlib import Path

import pytest

from batchgen.report.excerpts import CHARACTERS, Excerpts
from tests.given import an_artifact


def test_only_text_files_have_excerpts(tmp_path: Path) -> None:
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


def test_the_texts_of_a_page_are_limited(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A fox.")
    excerpts = Excerpts(tmp_path, limit=6)
    artifact = an_artifact("a.txt", media_type="text/plain")
    assert excerpts.of([artifact, artifact]) == ["A fox.", None]


@pytest.mark.parametrize(
    ("header", "description"),
    [
        (
            b"{'descr': '<f4', 'fortran_order': False, 'shape': (2, 768), }",
            "2 \u00d7 768 floats of 32 bits",
        ),
        (b"{'descr': '>f8', 'fortran_order': False, 'shape': (3,), }", "3 floats of 64 bits"),
        (
            b"{'descr': '|u1', 'fortran_order': True, 'shape': (4, 5, 6), }",
            "4 \u00d7 5 \u00d7 6 whole numbers of 8 bits",
        ),
        (b"{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (3,), }", None),
        (b"<script>", None),
    ],
)
def test_vectors_are_described_by_their_shape(
    tmp_path: Path, header: bytes, description: str | None
) -> None:
    head = b"\x93NUMPY\x01\x00" + (len(header) + 1).to_bytes(2, "little") + header + b"\n"
    (tmp_path / "a.npy").write_bytes(head + bytes(100_000))
    assert Excerpts(tmp_path).of([an_artifact("a.npy", media_type="application/x-npy")]) == [
        description
    ]
