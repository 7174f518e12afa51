"""Every image model through the installed command, checked by the simulator's own parser."""

import json
from pathlib import Path
from typing import Any

from batchgen.provider import catalog
from batchgen.provider.catalog.example import IMAGE_URL
from batchgen.types import Json
from tests.e2e.command import batchgen, results
from tests.e2e.simulated import simulate, stats
from tests.given import a_png

SMALL: Json = {"width": 512, "height": 512}


def written(path: Path, rows: list[dict[str, Any]]) -> Path:
    (path / "photo.png").write_bytes(a_png())
    (path / "mask.png").write_bytes(a_png())
    file = path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def example(model: catalog.Model) -> dict[str, Any]:
    """Return the catalogue's example row of a model, with a local file instead of a URL."""
    text = json.dumps(catalog.example(model)).replace(IMAGE_URL, "photo.png")
    row: dict[str, Any] = {**json.loads(text), "id": model.id.replace("/", "_")}
    if "image_size" in row and not model.check({**row_params(row), "image_size": SMALL}):
        row["image_size"] = SMALL  # faster to draw
    return row


def row_params(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in ("id", "model", "prompt")}


def test_the_example_row_of_every_image_model_succeeds(tmp_path: Path) -> None:
    models = [model for model in catalog.models() if model.family == "images"]
    rows = [example(model) for model in models]
    rows += [
        {
            "id": f"edit-{n}",
            "model": model.id,
            "prompt": "Red",
            "image": "photo.png",
            "mask": "mask.png",
        }
        for n, model in enumerate(models)
        if model.edit is not None
    ]

    with simulate(cwd=tmp_path) as base_url:
        ended = batchgen(
            "run", written(tmp_path, rows), "--base-url", base_url, "-o", "out", "--attempts", "1",
            cwd=tmp_path, AIMLAPI_API_KEY="k",
        )  # fmt: skip
        counts = stats(base_url)

    failed = [line for line in results(tmp_path / "out") if line["status"] != "succeeded"]
    assert [(line["model"], line["error"]) for line in failed] == []
    assert (ended.code, sum(counts["requests"].values())) == (0, len(rows))
    assert len(rows) > len(models) >= 80


def test_images_of_openai_have_the_requested_format_and_a_price_by_tokens(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, Any]] = [
        {"id": "drawn", "model": "gpt-image-1", "prompt": "A fox", "output_format": "webp"},
        {"id": "clear", "model": "gpt-image-1.5", "prompt": "A fox", "background": "transparent"},
        {"id": "three", "model": "gpt-image-1-mini", "prompt": "A fox", "n": 3},
        {"id": "mild", "model": "gpt-image-2", "prompt": "A fox", "moderation": "low"},
        {"id": "edit", "model": "gpt-image-1", "prompt": "Red", "image": "photo.png"},
        {
            "id": "both",
            "model": "gpt-image-1",
            "prompt": "Red",
            "image": ["photo.png", "mask.png"],
            "mask": "mask.png",
        },
    ]

    with simulate(cwd=tmp_path) as base_url:
        ended = batchgen(
            "run", written(tmp_path, rows), "--provider", "openai", "--base-url", base_url,
            "-o", "out", cwd=tmp_path, OPENAI_API_KEY="k",
        )  # fmt: skip

    lines = {line["id"]: line for line in results(tmp_path / "out")}
    assert ended.code == 0, (ended.err, [line["error"] for line in lines.values()])
    assert [artifact["media_type"] for artifact in lines["drawn"]["artifacts"]] == ["image/webp"]
    assert len(lines["three"]["artifacts"]) == 3
    assert lines["both"]["params"]["image"] == ["photo.png", "mask.png"]
    # 1,568 output tokens at $40 per million, and 2 text tokens at $5.
    assert lines["drawn"]["cost_usd"] == (1568 * 40 + 2 * 5) / 1e6
    assert lines["clear"]["cost_usd"] is None  # its price is not known


def test_an_openai_batch_file_runs_unchanged_and_its_results_export_as_one(tmp_path: Path) -> None:
    lines = [
        {
            "custom_id": "drawn",
            "method": "POST",
            "url": "/v1/images/generations",
            "body": {"model": "dall-e-2", "prompt": "A fox", "n": 2, "size": "256x256"},
        },
        {
            "custom_id": "edited",
            "method": "POST",
            "url": "/v1/images/edits",
            "body": {"model": "openai/gpt-image-1", "prompt": "Red", "image": "photo.png"},
        },
        {
            "custom_id": "refused",
            "method": "POST",
            "url": "/v1/images/generations",
            "body": {"model": "any/model", "prompt": "A forbidden-word"},
        },
    ]

    with simulate(cwd=tmp_path) as base_url:
        batchgen(
            "run", written(tmp_path, lines), "--base-url", base_url, "-o", "out",
            cwd=tmp_path, AIMLAPI_API_KEY="k",
        )  # fmt: skip
    ended = batchgen("results", "out", "--format", "openai-batch", cwd=tmp_path)

    exported = {line["custom_id"]: line for line in map(json.loads, ended.out.splitlines())}
    files = {name: line["response"]["body"].get("data") for name, line in exported.items()}
    assert files["drawn"] == [{"file": "drawn-1.png"}, {"file": "drawn-2.png"}]
    assert files["edited"] == [{"file": "edited-1.png"}]
    assert [line["response"]["status_code"] for line in exported.values()] == [201, 200, 400]
    assert exported["refused"]["response"]["body"]["error"]["type"] == "content_policy"
    assert {line["error"] for line in exported.values()} == {None}
