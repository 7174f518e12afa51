"""How often Python collects reference cycles while the command runs, and afterwards."""

import gc
from pathlib import Path

import pytest

from batchgen.cli.main import main as cli_main
from batchgen.engine.process import infrequent_collection
from batchgen.engine.session import Session
from batchgen.errors import UsageError
from batchgen.storage.summary import Summary


def test_collection_is_infrequent_within_the_block_and_restored_after_it() -> None:
    before = gc.get_threshold(), gc.get_freeze_count()
    with infrequent_collection():
        assert gc.get_threshold()[0] > before[0][0]
        assert gc.get_freeze_count() > before[1]

    assert (gc.get_threshold(), gc.get_freeze_count()) == (before[0], 0)


def test_collection_is_infrequent_while_the_command_runs_a_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thresholds: list[int] = []

    def run(_: Session) -> Summary:
        thresholds.append(gc.get_threshold()[0])
        raise UsageError("this is enough")

    monkeypatch.setattr(Session, "run", run)
    (tmp_path / "m.csv").write_text("prompt\na pot\n")
    before = gc.get_threshold()

    options = ["--provider", "simulator", "--model", "dall-e-2", "-o", str(tmp_path / "out")]
    assert cli_main(["run", str(tmp_path / "m.csv"), *options]) == 2
    assert thresholds[0] > before[0]
    assert gc.get_threshold() == before
