"""Warnings about two manifests that share a default output directory."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchgen.engine.provenance import other_manifest_warning, record_manifest
from batchgen.job import Flags
from batchgen.manifest.formats.source import Format, Source
from batchgen.manifest.open import Manifest, open_manifest, source_of
from batchgen.storage.ledger import Ledger
from tests.given import a_ledger


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ledger]:
    """The ledger of a run of cats.csv in the current folder."""
    monkeypatch.chdir(tmp_path)
    with a_ledger(tmp_path) as ledger:
        record_manifest(ledger, manifest("cats.csv").source)
        yield ledger


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
def test_another_manifest_with_the_same_default_directory_is_a_warning(
    path: str, text: str, ledger: Ledger
) -> None:
    warning = other_manifest_warning(ledger, manifest(path, text))
    assert warning is not None
    assert str(warning).startswith(f"{path}: warning: out/cats holds results of cats.csv")
    assert "-o DIR" in warning.message


def test_the_warning_names_the_last_manifest(ledger: Ledger) -> None:
    record_manifest(ledger, manifest("b/cats.csv").source)
    assert "results of b/cats.csv" in str(other_manifest_warning(ledger, manifest("cats.csv")))


@pytest.mark.parametrize(
    "path", ["./cats.csv", "b/../cats.csv", "{here}/cats.csv", "link/cats.csv"]
)
def test_another_path_to_the_same_file_is_the_same_manifest(
    path: str, tmp_path: Path, ledger: Ledger
) -> None:
    Path("b").mkdir()
    Path("link").symlink_to(".")
    source = source_of(path.format(here=tmp_path), None, None)
    assert other_manifest_warning(ledger, open_manifest(source, Flags())) is None


def test_an_edited_manifest_is_the_same(ledger: Ledger) -> None:
    assert other_manifest_warning(ledger, manifest("cats.csv", "prompt\na dog\n")) is None


def test_a_manifest_that_was_moved_or_renamed_is_the_same(ledger: Ledger) -> None:
    Path("cats.csv").unlink()
    assert other_manifest_warning(ledger, manifest("b/cats.csv")) is None


def test_a_link_with_a_new_target_is_the_same_manifest(ledger: Ledger) -> None:
    for day in ("monday.csv", "tuesday.csv"):
        Path(day).write_text("prompt\na cat\n")
        Path("cats.csv").unlink()
        os.symlink(day, "cats.csv")
        source = source_of("cats.csv", None, None)
        assert other_manifest_warning(ledger, open_manifest(source, Flags())) is None
        record_manifest(ledger, source)


def test_a_chosen_directory_may_hold_results_of_several_manifests(ledger: Ledger) -> None:
    chosen = manifest("b/cats.csv", output=Path("both"))
    assert other_manifest_warning(ledger, chosen) is None


def test_a_ledger_without_a_recorded_manifest_gives_no_warning(tmp_path: Path) -> None:
    with Ledger(tmp_path / "other.sqlite3") as ledger:
        assert ledger.meta("manifest") is None
        source = Source(tmp_path / "stdin", "<stdin>", Format.TXT)
        (tmp_path / "stdin").write_text("a cat\n")
        record_manifest(ledger, source)
        assert ledger.meta("manifest") is None
        assert other_manifest_warning(ledger, open_manifest(source, Flags())) is None
