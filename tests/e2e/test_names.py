"""File names that the file system or the locale cannot hold, and bytes that are not UTF-8."""

import json
import os
import unicodedata
from pathlib import Path

import pytest

from tests.e2e.command import batchgen, results
from tests.e2e.counting import counting

POSIX = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
HEAD = "id,prompt,model"


def write(folder: Path, *rows: str, head: str = HEAD, name: str = "rows.csv") -> None:
    (folder / name).write_text("\n".join((head, *rows)) + "\n", encoding="utf-8")


@pytest.mark.parametrize(
    ("row", "head"),
    [
        ("fü,a,dall-e-2", HEAD),
        ("日本/t1,a,dall-e-2", HEAD),
        ("t1,a,dall-e-2,{id}-ä.{ext}", f"{HEAD},filename"),
        (",Füchse im Schnee,dall-e-2", HEAD),
        ("t1,a,dall-e-2,ö,{place}/{id}.{ext}", f"{HEAD},place,filename"),
    ],
)
def test_a_name_that_the_locale_cannot_hold_is_found_before_the_first_request(
    tmp_path: Path, row: str, head: str
) -> None:
    commas = head.count(",") - 2
    write(tmp_path, f"t0,first,dall-e-2{',' * commas}", row, head=head)
    with counting() as provider:
        for _ in range(2):
            ended = provider.run("rows.csv", "-o", "out", cwd=tmp_path, **POSIX)
            assert (ended.code, provider.requests) == (2, 0), ended.err
            assert "rows.csv:3: " in ended.err
            assert "LC_ALL=C.UTF-8" in ended.err
        plan = batchgen("plan", "rows.csv", "-o", "out", cwd=tmp_path, **POSIX)
        assert plan.code == 2
        assert provider.run("rows.csv", "-o", "out", cwd=tmp_path).code == 0
    assert not list((tmp_path / "out").glob("*.damaged"))


@pytest.mark.parametrize(
    "row", [f"{'ü' * 300},a,dall-e-2", f"{'d/' * 2100}x,a,dall-e-2"], ids=["bytes", "path"]
)
def test_a_name_of_too_many_bytes_is_found_or_shortened(tmp_path: Path, row: str) -> None:
    write(tmp_path, "t0,first,dall-e-2", row)
    with counting() as provider:
        ended = provider.run("rows.csv", "-o", "out", cwd=tmp_path)
        assert (ended.code, provider.requests) in ((2, 0), (0, 2)), ended.err


COMMANDS = """
report out
report out --contact-sheet out/sheet.png
status out
status out --json
verify out
verify out --json
verify out --fix
results out
results out --format csv
results out --format yaml
results out --format openai-batch
show out/t0-1.png
show out/t0-1.png --json
merge new out
plan rows.csv
plan rows.csv --json
"""


def odd(folder: Path) -> dict[str, str]:
    """Return names with a byte that is not UTF-8 for the words of the commands."""
    ends = {"out": b"o\xff", "new": b"n\xfe", "rows.csv": b"m\xff.csv"}
    return {word: os.fsdecode(os.fsencode(folder) + b"/" + name) for word, name in ends.items()}


def replaced(words: str, names: dict[str, str]) -> list[str]:
    """Return the words with their first part replaced."""
    parts = (word.partition("/") for word in words.split())
    return [names.get(first, first) + slash + rest for first, slash, rest in parts]


@pytest.mark.parametrize("locale", [{}, POSIX], ids=["UTF-8", "C"])
def test_every_command_works_with_bytes_that_are_not_utf8(
    tmp_path: Path, locale: dict[str, str]
) -> None:
    folder = tmp_path / os.fsdecode(b"d\xff")
    folder.mkdir()
    names = odd(folder)
    Path(names["rows.csv"]).write_text(f"{HEAD}\nt0,a,dall-e-2\nt1,b,dall-e-2\n")
    with counting() as provider:
        run = (names["rows.csv"], "-o", names["out"])
        ended = provider.run(*run, "--report", cwd=tmp_path, **locale)
        assert (ended.code, provider.requests) == (0, 2), ended.err
        logged = provider.run(*run, "--log-format", "json", cwd=tmp_path, **locale)
        for line in logged.err.splitlines():
            json.dumps(json.loads(line), ensure_ascii=False).encode()
        for words in COMMANDS.strip().splitlines():
            command = batchgen(*replaced(words, names), cwd=tmp_path, **locale)
            assert command.code == (1 if "verify" in words and "sheet" in command.out else 0), words
            if "--json" in words:
                json.dumps(json.loads(command.out), ensure_ascii=False).encode()
        assert provider.run(*run, "--no-check", cwd=tmp_path, **locale).code == 0
        assert provider.requests == 2
    assert [line["status"] for line in results(Path(names["new"]))] == ["succeeded"] * 2
    for path in ("results.jsonl", "summary.json", "report.html"):
        Path(names["out"], path).read_text(encoding="utf-8")


def test_an_odd_manifest_has_its_own_output_directory(tmp_path: Path) -> None:
    name = os.fsdecode(b"m\xff.csv")
    (tmp_path / name).write_text(f"{HEAD}\nt0,a,dall-e-2\n")
    with counting() as provider:
        for _ in range(2):
            assert provider.run(name, "--report", cwd=tmp_path).code == 0
        assert provider.requests == 1


def test_a_finished_output_is_read_in_any_locale(tmp_path: Path) -> None:
    write(tmp_path, "fü,a,dall-e-2", "ä/日本,b,dall-e-2")
    with counting() as provider:
        assert provider.run("rows.csv", "-o", "öut", cwd=tmp_path).code == 0
    for words in ("verify", "report", "status", "results", "verify --fix"):
        command, *more = words.split()
        ended = batchgen(command, "öut", *more, cwd=tmp_path, **POSIX)
        assert ended.code == 0, (words, ended)
    assert batchgen("merge", "new", "öut", cwd=tmp_path, **POSIX).code == 0
    files = {unicodedata.normalize("NFC", path.name) for path in (tmp_path / "new").rglob("*.png")}
    assert files == {"fü-1.png", "日本-1.png"}
