"""All PartiPrompts with the simulator: real prompts, and every image is decoded."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.bench.table import markdown, megabytes
from tests.bench.usage import RunError, Usage, run
from tests.bench.workspace import Workspace, command, environment
from tests.shared import shared_path

_SIZE = (256, 256)
_COLUMNS = ("Category", "Challenge", "Note")


def parti(workspace: Workspace) -> Iterator[str]:
    """Run PartiPrompts.tsv as a user would."""
    try:
        manifest = shared_path("data", "PartiPrompts.tsv")
    except pytest.skip.Exception as absent:
        yield f"skipped: {absent}"
        return
    with workspace.output("parti") as output:
        words = command(
            "run", manifest, "--provider", "simulator", "--model", "dall-e-2",
            "--set", f"size={_SIZE[0]}x{_SIZE[1]}", "--no-progress", "-o", output,
        )  # fmt: skip
        used = run(words, environment=environment(), log=workspace.log)
        tasks = _check(manifest, output)
    yield f"{tasks} real prompts, simulator in the same process, {_SIZE[0]}x{_SIZE[1]}"
    yield _table(tasks, used)


def _table(tasks: int, used: Usage) -> str:
    return markdown(
        ("all images decoded, all results in order", "images/s", "peak RSS"),
        [("yes", f"{tasks / used.wall_s:,.0f}", megabytes(used.peak_bytes))],
    )


def _check(manifest: Path, output: Path) -> int:
    """Compare results and images with the manifest; return their number. Raises RunError."""
    lines = (output / "results.jsonl").read_text().splitlines()
    rows_expected = list(_rows(manifest))
    if len(lines) != len(rows_expected):
        raise RunError(f"{len(lines)} results for {len(rows_expected)} prompts")
    for line, row in zip(lines, rows_expected, strict=True):
        result = json.loads(line)
        if result["prompt"] != row["Prompt"] or any(
            result["vars"].get(name) != row[name] for name in _COLUMNS if row[name]
        ):
            raise RunError(f"line {result['line']} is not in order: {row['Prompt']!r}")
        _decode_images(output, result)
    return len(lines)


def _rows(manifest: Path) -> Iterator[dict[str, str]]:
    """Yield the file's rows, split at tabs, with quotes as ordinary characters."""
    header, *lines = manifest.read_text("utf-8").splitlines()
    names = header.split("\t")
    for line in lines:
        yield dict(zip(names, line.split("\t"), strict=True))


def _decode_images(output: Path, result: Mapping[str, Any]) -> None:
    if not result["artifacts"]:
        raise RunError(f"{result['id']} is {result['status']} and has no image")
    for artifact in result["artifacts"]:
        with Image.open(output / artifact["path"]) as image:
            image.load()
            if image.size != _SIZE:
                raise RunError(f"{artifact['path']} is of size {image.size}, not {_SIZE}")
