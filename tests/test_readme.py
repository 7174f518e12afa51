"""The README is held against the code."""

import re
import shutil
from pathlib import Path

import pytest

from tests.e2e.command import batchgen
from tests.given import a_png
from tests.readme_tables import PAGES, README, filled, tables


def test_every_table_is_as_the_code_has_it() -> None:
    texts = [page.read_text() for page in PAGES]
    assert all(f"<!-- {name} -->" in "".join(texts) for name in tables())
    for text in texts:
        assert filled(text) == text, "run: python -m tests.readme_tables"


def test_the_readme_stays_readable_in_one_sitting() -> None:
    assert len(README.read_text().splitlines()) < 400


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_the_example_job_of_the_readme_plans(tmp_path: Path) -> None:
    text = README.read_text()
    job = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    (tmp_path / "spring.yaml").write_text(job)
    shutil.copy(README.parent / "jobs" / "products.csv", tmp_path / "products.csv")

    ended = batchgen("plan", "spring.yaml", cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert "10 tasks" in ended.out


def test_the_examples_of_the_models_page_plan(tmp_path: Path) -> None:
    blocks = (README.parent / "docs" / "models.md").read_text().split("```yaml\n")[1:]
    (tmp_path / "pics").mkdir()
    for name in ("pics/car.jpg", "pics/A.jpg", "cat.png", "where.png"):
        (tmp_path / name).write_bytes(a_png())
    (tmp_path / "cars.csv").write_text("name,sku\nA bus,A\n")
    for number, block in enumerate(blocks):
        text = block.split("```", 1)[0]
        rest = "" if "prompts:" in text else "prompts: [{prompt: A fox, model: gpt-image-1}]\n"
        (tmp_path / f"{number}.yaml").write_text(text + rest)
        ended = batchgen("plan", f"{number}.yaml", cwd=tmp_path)
        assert (ended.code, ended.err) == (0, ""), block
    assert len(blocks) == 3


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_needs_nothing(words: list[str], tmp_path: Path) -> None:
    assert batchgen(*words, cwd=tmp_path).code == 0
