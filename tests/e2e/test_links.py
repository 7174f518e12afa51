"""Links, pipes and foreign paths in an output directory: nothing outside it is touched."""

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.command import batchgen
from tests.e2e.counting import counting, write_rows

JOB = {
    "output": {"dir": "out", "filename": "sub/{id}.{ext}", "sidecar": True},
    "prompts": [{"id": f"t{n}", "prompt": f"prompt {n}", "model": "dall-e-2"} for n in range(4)],
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a job, an output directory, and a folder outside of it."""
    (tmp_path / "out" / ".batchgen").mkdir(parents=True)
    (tmp_path / "v").mkdir()
    (tmp_path / "v" / "secret").write_text("precious")
    (tmp_path / "v" / "folder").mkdir()
    (tmp_path / "job.yaml").write_text(json.dumps(JOB))
    return tmp_path


def untouched(place: Path) -> bool:
    outside = place / "v"
    return (
        sorted(os.listdir(outside)) == ["folder", "secret"]
        and os.listdir(outside / "folder") == []
        and (outside / "secret").read_text() == "precious"
    )


@pytest.mark.parametrize(
    "name",
    ["summary.json.part", "results.jsonl.part", "identity.part", "identity", "lock"]
    + [f"ledger.sqlite3{suffix}" for suffix in ("", "-wal", "-shm", "-journal")],
)
@pytest.mark.parametrize("kind", ["link", "FIFO"])
def test_what_stands_in_the_place_of_a_private_file_is_refused_or_not_touched(
    place: Path, name: str, kind: str
) -> None:
    path = place / "out" / ".batchgen" / name
    if kind == "link":
        path.symlink_to(place / "v" / "secret")
    else:
        os.mkfifo(path)
    with counting() as provider:
        ended = provider.run("job.yaml", cwd=place)
        assert ended.code == (0 if name.endswith(".part") else 4), ended.err
        assert provider.requests == (0 if ended.code else 4)
        assert "move it away" in ended.err or not ended.code
    assert untouched(place)


@pytest.mark.parametrize("name", ["sub", ".batchgen", ".batchgen/tmp"])
def test_a_folder_that_is_a_link_is_refused_before_the_first_request(
    place: Path, name: str
) -> None:
    if name == ".batchgen":
        (place / "out" / name).rmdir()
    (place / "out" / name).symlink_to(place / "v" / "folder")
    with counting() as provider:
        ended = provider.run("job.yaml", cwd=place)
        assert provider.requests == 0
    assert ended.code == 4
    assert "symbolic link" in ended.err
    assert untouched(place)


@pytest.mark.parametrize("name", ["results.jsonl", "summary.json", "report.html", "sub/t0.json"])
def test_a_file_that_is_a_link_is_refused_or_replaced(place: Path, name: str) -> None:
    (place / "out" / "sub").mkdir()
    (place / "out" / name).symlink_to(place / "v" / "secret")
    with counting() as provider:
        ended = provider.run("job.yaml", "--report", cwd=place)
        assert ended.code == (4 if name == "results.jsonl" else 0), ended.err
    assert untouched(place)


def test_an_output_directory_reached_by_a_link_works(place: Path) -> None:
    (place / "out").rename(place / "real")
    (place / "out").symlink_to("real")
    with counting() as provider:
        assert provider.run("job.yaml", "--report", cwd=place).code == 0
    assert (place / "real" / "sub" / "t0.png").is_file()
    assert batchgen("verify", "out", cwd=place).code == 0


@pytest.fixture
def foreign(place: Path) -> Path:
    """An output directory whose ledger names a file outside of it."""
    with counting() as provider:
        assert provider.run("job.yaml", cwd=place).code == 0
    with closing(sqlite3.connect(place / "out/.batchgen/ledger.sqlite3")) as db:
        db.execute("UPDATE artifacts SET path = '../v/secret' WHERE path = 'sub/t0.png'")
        db.commit()
    lines = (place / "out" / "results.jsonl").read_text()
    (place / "out" / "results.jsonl").write_text(lines.replace("sub/t0.png", "../v/secret"))
    return place


COMMANDS = """
verify out
verify out --fix
report out
report out --contact-sheet out/sheet.png
results out --format csv -o out/x.csv
merge new out
show out/sub/t1.png
"""


@pytest.mark.parametrize("words", COMMANDS.strip().splitlines())
def test_no_command_touches_a_path_of_the_ledger_outside(foreign: Path, words: str) -> None:
    ended = batchgen(*words.split(), cwd=foreign)
    assert ended.code in (0, 1), ended.err
    assert untouched(foreign)
    if words.startswith("report"):
        assert "secret" not in (foreign / "out" / "report.html").read_text()


def test_a_rebuild_leaves_out_a_path_outside(foreign: Path) -> None:
    for path in (foreign / "out" / ".batchgen").glob("ledger*"):
        path.unlink()
    ended = batchgen("verify", "out", "--rebuild", cwd=foreign)
    assert ended.code == 1
    assert "leaves the output directory" in ended.err
    assert untouched(foreign)


@pytest.mark.parametrize("stored", ["FIFO", "link"])
def test_an_artifact_that_is_no_regular_file_is_missing_and_nothing_hangs(
    foreign: Path, stored: str
) -> None:
    path = foreign / "out" / "sub" / "t1.png"
    path.unlink()
    if stored == "FIFO":
        os.mkfifo(path)
    else:
        path.symlink_to(foreign / "v" / "secret")
    assert "missing  sub/t1.png" in batchgen("verify", "out", cwd=foreign).out
    assert batchgen("report", "out", cwd=foreign).code == 0
    assert batchgen("verify", "out", "--fix", cwd=foreign).code == 1
    assert untouched(foreign)


def test_verify_fix_stops_if_the_files_are_behind_a_link(foreign: Path) -> None:
    (foreign / "out" / "sub").rename(foreign / "big")
    (foreign / "out" / "sub").symlink_to(foreign / "big")
    before = sorted(os.listdir(foreign / "big"))
    ended = batchgen("verify", "out", "--fix", cwd=foreign)
    assert (ended.code, "symbolic link" in ended.err) == (4, True)
    assert sorted(os.listdir(foreign / "big")) == before


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["folder", "FIFO"])
@pytest.mark.parametrize("name", ["results.jsonl", "summary.json", "report.html"])
def test_a_folder_or_pipe_in_the_place_of_a_file_does_not_hang(
    place: Path, name: str, make: Callable[[Path], None]
) -> None:
    make(place / "out" / name)
    write_rows(place, 2)
    with counting() as provider:
        ended = provider.run("rows.csv", "-o", "out", "--report", cwd=place)
    assert ended.code in (0, 4), ended.err
