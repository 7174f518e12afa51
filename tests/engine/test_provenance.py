"""Two manifests that would share a default output directory in silence."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.engine.provenance import other_manifest, remember_manifest
from batchgen.job import Flags
from batchgen.manifest.formats.source import Format, Source
from batchgen.manifest.open import Manifest, open_manifest, source_of
from batchgen.storage.ledger import Ledger
from tests.given import a_ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """Of a run of cats.csv in the current folder."""
    monkeypatch.chdir(tmp_path)
    with a_ledger(tmp_path) as found:
        remember_manifest(found, manifest("cats.csv").source)
        yield found


def manifest(path: str, text: str = "prompt\na cat\n", *, output: Path | None = None) -> Manifest:
    Path(path).parent.mkdir(exist_ok=True)
    Path(path).write_text(text)
    return open_manifest(source_of(path, None, None), Flags(output=output))


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("b/cats.csv", "prompt\na dog\n"),
        ("cats.yaml", "prompts: [a dog]\n"),
        ("dogs.yaml", "name: cats\nprompts: [a dog]\n"),
    ],
)
def test_another_manifest_with_the_same_default_directory_is_told(
    path: str, text: str, ledger: Ledger
) -> None:
    told = other_manifest(ledger, manifest(path, text))
    assert told is not None
    assert str(told).startswith(f"{path}: warning: out/cats holds results of cats.csv")
    assert "-o DIR" in told.message


def test_it_is_told_again_for_the_other_one(ledger: Ledger) -> None:
    remember_manifest(ledger, manifest("b/cats.csv").source)
    assert "results of b/cats.csv" in str(other_manifest(ledger, manifest("cats.csv")))


@pytest.mark.parametrize(
    "path", ["./cats.csv", "b/../cats.csv", "{here}/cats.csv", "link/cats.csv"]
)
def test_the_same_file_by_another_path_is_the_same_manifest(
    path: str, tmp_path: Path, ledger: Ledger
) -> None:
    Path("b").mkdir()
    Path("link").symlink_to(".")
    source = source_of(path.format(here=tmp_path), None, None)
    assert other_manifest(ledger, open_manifest(source, Flags())) is None


def test_an_edited_manifest_is_the_same(ledger: Ledger) -> None:
    assert other_manifest(ledger, manifest("cats.csv", "prompt\na dog\n")) is None


def test_a_manifest_that_was_moved_or_renamed_is_the_same(ledger: Ledger) -> None:
    Path("cats.csv").unlink()
    assert other_manifest(ledger, manifest("b/cats.csv")) is None


def test_a_link_that_points_elsewhere_now_is_the_same_manifest(ledger: Ledger) -> None:
    for day in ("monday.csv", "tuesday.csv"):
        Path(day).write_text("prompt\na cat\n")
        Path("cats.csv").unlink()
        os.symlink(day, "cats.csv")
        source = source_of("cats.csv", None, None)
        assert other_manifest(ledger, open_manifest(source, Flags())) is None
        remember_manifest(ledger, source)


def test_a_directory_that_was_chosen_may_hold_several_manifests(ledger: Ledger) -> None:
    chosen = manifest("b/cats.csv", output=Path("both"))
    assert other_manifest(ledger, chosen) is None


def test_a_ledger_that_remembers_no_manifest_is_anybodys(tmp_path: Path) -> None:
    with Ledger(tmp_path / "other.sqlite3") as ledger:
        assert ledger.meta("manifest") is None
        source = Source(tmp_path / "stdin", "<stdin>", Format.TXT)
        (tmp_path / "stdin").write_text("a cat\n")
        remember_manifest(ledger, source)
        assert ledger.meta("manifest") is None
        assert other_manifest(ledger, open_manifest(source, Flags())) is None
