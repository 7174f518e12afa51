"""The output of `plan` before and after a run."""

import json
from pathlib import Path

from tests.e2e.command import batchgen

JOB = """\
name: small
provider: simulator
defaults: {model: flux/schnell}
limits: {concurrency: 2, rpm: 60}
retry:
  rules: [{code: model_busy, then: retry}]
prompts:
  - A fox
  - An owl
  - {id: hero, prompt: "A lighthouse", model: dall-e-2, n: 12, size: 256x256}
"""


def test_a_plan_begins_with_its_conclusion_and_ends_with_the_requests(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(JOB)

    lines = batchgen("plan", "small.yaml", cwd=tmp_path).out.splitlines()

    assert lines[0] == "small: 3 tasks, provider simulator, output out/small"
    assert lines[1].split() == ["model", "tasks", "requests", "images", "price"]
    rows = [line.split()[:4] for line in lines[2:5]]
    assert rows == [
        ["flux/schnell", "2", "2", "2"],
        ["dall-e-2", "1", "2", "12"],
        ["all", "3", "4", "14"],
    ]
    order = [
        "price ",
        "limits ",
        "time ",
        "first requests:",
    ]
    positions = [next(n for n, line in enumerate(lines) if line.startswith(word)) for word in order]
    assert positions == sorted(positions)
    assert "2 requests in flight, 60 requests per minute and model" in lines[positions[1]]


def test_a_plan_counts_what_is_done_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text(JOB)
    batchgen("run", "small.yaml", "--limit", "2", "--quiet", cwd=tmp_path)

    text = batchgen("plan", "small.yaml", cwd=tmp_path).out
    as_json = json.loads(batchgen("plan", "small.yaml", "--json", cwd=tmp_path).out)
    only = batchgen("plan", "small.yaml", "--limit", "2", cwd=tmp_path).out

    assert "done      2 of 3; 1 left, for about " in text
    assert "(the average so far)" in text
    assert (as_json["done"], as_json["left"]) == (2, 1)
    assert as_json["by_model"]["dall-e-2"]["requests"] == 2
    assert "done      2 of 2; nothing is left" in only
    assert "time " not in only
