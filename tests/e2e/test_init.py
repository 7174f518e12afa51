"""The first five minutes: a starter job that plans, runs and gets a report unchanged."""

from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

from tests.e2e.command import batchgen, results

_TASKS = 8


def test_a_starter_job_plans_and_runs_unchanged(tmp_path: Path) -> None:
    assert batchgen("init", cwd=tmp_path).code == 0
    planned = batchgen("plan", "job.yaml", cwd=tmp_path)
    assert planned.code == 0, planned.err

    ended = batchgen("run", "job.yaml", "--report", cwd=tmp_path)

    assert ended.code == 0, ended.err
    directory = tmp_path / "out" / "job"
    assert [line["status"] for line in results(directory)] == ["succeeded"] * _TASKS
    assert f"report.html: {_TASKS} tasks" in ended.err
    assert (directory / "report.html").read_text().startswith("<!doctype html>")
    assert batchgen("verify", directory, cwd=tmp_path).code == 0


def test_the_starter_fits_the_schema_beside_it(tmp_path: Path) -> None:
    batchgen("init", "jobs-of-spring.yaml", cwd=tmp_path)
    text = (tmp_path / "jobs-of-spring.yaml").read_text()
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=batchgen.schema.json"
    schema = yaml.safe_load((tmp_path / "batchgen.schema.json").read_text())
    job = yaml.safe_load(text)
    Draft202012Validator(schema).validate(job)
    assert job["name"] == "jobs-of-spring"
    assert "batchgen run jobs-of-spring.yaml" in text


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text("mine")
    ended = batchgen("init", cwd=tmp_path)
    assert (ended.code, (tmp_path / "job.yaml").read_text()) == (2, "mine")
    assert "job.yaml already exists" in ended.err
    assert not (tmp_path / "batchgen.schema.json").exists()


def test_a_dash_writes_the_job_to_standard_output(tmp_path: Path) -> None:
    ended = batchgen("init", "-", cwd=tmp_path)
    assert yaml.safe_load(ended.out)["provider"] == "simulator"
    assert list(tmp_path.iterdir()) == []


def test_a_report_in_another_folder_refers_to_its_images(tmp_path: Path) -> None:
    batchgen("init", cwd=tmp_path)
    batchgen("run", "job.yaml", "--limit", "2", "--quiet", cwd=tmp_path)
    (tmp_path / "web").mkdir()
    words = ["report", "out/job", "-o", "web/page.html", "--contact-sheet", "web/sheet.png"]

    ended = batchgen(*words, cwd=tmp_path)

    assert (ended.code, ended.out) == (0, ""), ended.err
    assert '"root":"../out/job/"' in (tmp_path / "web" / "page.html").read_text()
    assert (tmp_path / "web" / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_report_of_another_directory_is_refused(tmp_path: Path) -> None:
    ended = batchgen("report", ".", cwd=tmp_path)
    assert ended.code == 2
    assert "not an output directory" in ended.err
