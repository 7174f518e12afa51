"""README and docs/ agree with the code, and link to pages that exist."""

import json
import re
import shutil
from pathlib import Path

import pytest

from batchgen.engine.decisions import BUILT_IN
from batchgen.report.export_parquet import COLUMNS
from batchgen.storage.results import public_status
from batchgen.types import Status
from tests.e2e.command import batchgen
from tests.given import a_png
from tests.readme_tables import PAGES, README, ROOT, filled, tables

DOCS = ROOT / "docs"


def test_every_table_is_as_the_code_has_it() -> None:
    texts = [page.read_text() for page in PAGES]
    assert all(f"<!-- {name} -->" in "".join(texts) for name in tables())
    for text in texts:
        assert filled(text) == text, "run: python -m tests.readme_tables"


def test_the_readme_stays_short() -> None:
    assert len(README.read_text().splitlines()) <= 220


def test_every_module_that_a_page_names_exists() -> None:
    missing = [
        f"{page.name}: {name}"
        for page in PAGES
        for name in re.findall(r"\b((?:[a-z_0-9]+/)+[a-z_0-9]+\.py)\b", page.read_text())
        if not (ROOT / name).is_file() and not (ROOT / "batchgen" / name).is_file()
    ]
    assert missing == []


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: page.name)
def test_every_link_within_the_project_leads_to_a_page_and_a_heading(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text())
    broken = [
        (target, anchor)
        for target, anchor in links
        if "://" not in target and not _exists(page.parent / target if target else page, anchor)
    ]
    assert broken == []


def _exists(path: Path, anchor: str) -> bool:
    """Whether a file, and a heading of it as GitHub names headings, exists."""
    if not path.exists() or not anchor:
        return path.exists()
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return anchor in {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in headings}


def test_every_page_is_reachable_from_the_readme() -> None:
    moved = {"families.md", "stories.md"}
    linked = re.findall(r"\(docs/([a-z-]+\.md)", README.read_text())
    assert {page.name for page in DOCS.glob("*.md")} - moved == set(linked)


def test_the_example_job_of_the_readme_is_in_jobs_and_plans(tmp_path: Path) -> None:
    job = ROOT / "jobs" / "spring.yaml"
    assert _examples(README)[0] == job.read_text()

    ended = batchgen("plan", job, "-o", "out", cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert "5 tasks" in ended.out


@pytest.mark.parametrize("name", ["decisions", "job-file", "manifest", "metadata", "pacing"])
def test_the_example_jobs_of_the_other_pages_plan(name: str, tmp_path: Path) -> None:
    shutil.copy(ROOT / "jobs" / "products.csv", tmp_path / "products.csv")
    (tmp_path / "prompts.txt").write_text("A fox\n")
    for number, text in enumerate(_examples(DOCS / f"{name}.md")):
        model = "" if "defaults:" in text else "defaults: {model: flux/schnell}\n"
        rows = "" if "prompts:" in text else "prompts: [A fox]\n"
        (tmp_path / f"{number}.yaml").write_text(model + text + rows)
        ended = batchgen("plan", f"{number}.yaml", cwd=tmp_path)
        assert (ended.code, ended.err) == (0, ""), text


def test_the_examples_of_the_models_page_plan(tmp_path: Path) -> None:
    blocks = _examples(DOCS / "models.md")
    (tmp_path / "pics").mkdir()
    for name in ("pics/car.jpg", "pics/A.jpg", "cat.png", "where.png"):
        (tmp_path / name).write_bytes(a_png())
    (tmp_path / "cars.csv").write_text("name,sku\nA bus,A\n")
    for number, text in enumerate(blocks):
        rest = "" if "prompts:" in text else "prompts: [{prompt: A fox, model: gpt-image-1}]\n"
        (tmp_path / f"{number}.yaml").write_text(text + rest)
        ended = batchgen("plan", f"{number}.yaml", cwd=tmp_path)
        assert (ended.code, ended.err) == (0, ""), text
    assert len(blocks) == 4


def _examples(page: Path) -> list[str]:
    return [part.split("```", 1)[0] for part in page.read_text().split("```yaml\n")[1:]]


def test_the_output_page_has_every_key_and_status_of_a_results_line() -> None:
    page = (DOCS / "output.md").read_text()
    line = json.loads(page.split("```json\n", 1)[1].split("```", 1)[0])
    assert list(line) == ["schema", *COLUMNS]
    keys, statuses = page.split("## Status\n")
    assert _first_cells(keys.split("## A line of")[1]) == set(line)
    expected = {str(public_status(status)) for status in Status}
    assert _first_cells(statuses.split("\n## ")[0]) == expected


def test_the_decisions_page_explains_every_kind_of_the_table() -> None:
    page = (DOCS / "decisions.md").read_text().split("## The kinds\n")[1].split("\n## ")[0]
    assert _first_cells(page) == {rule.kind for rule in BUILT_IN}


def _first_cells(text: str) -> set[str]:
    """The names in backticks in the first column of the tables of a text."""
    rows = re.findall(r"^\| (`[^|]*) \|", text, re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_needs_nothing(words: list[str], tmp_path: Path) -> None:
    assert batchgen(*words, cwd=tmp_path).code == 0
