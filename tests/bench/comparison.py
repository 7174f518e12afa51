"""Generate the same images with batchgen, a bare loop and the official SDK, alternating."""

import statistics
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.bench.images import b64_reply, noise_png, url_reply
from tests.bench.served import listen, served
from tests.bench.table import markdown, megabytes
from tests.bench.usage import RunError, Usage, run
from tests.bench.workspace import Workspace, command, environment, write_manifest

SMALL_SIDE = 64  # pixels: 12 KB
LARGE_SIDE = 935  # 2.6 MB, 3.5 MB in base64
HUGE_SIDE = 2236  # 15 MB, 20 MB in base64
ENDPOINT = "v1/images/generations"
_HEADER = ("program", "images/s", "of the bare loop", "CPU ms per image", "peak RSS", "runs")


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measurement with several programs.

    side: of the image in pixels. answer: `b64_json` or `url`. latency_s: before a reply.
    """

    side: int
    items: int
    in_flight: int
    answer: str = "b64_json"
    latency_s: float = 0.0
    programs: tuple[str, ...] = ("batchgen", "bare loop", "openai SDK")


@dataclass(frozen=True, slots=True)
class _Start:
    """The arguments of a measured program."""

    manifest: Path
    base_url: str
    comparison: Comparison
    output: Path


def small(answer: str, workspace: Workspace) -> Iterator[str]:
    """12 KB images, 64 in flight."""
    yield f"{workspace.settings.items} images of 12 KB as {answer}, 64 in flight"
    yield _table(Comparison(SMALL_SIDE, workspace.settings.items, 64, answer), workspace)


def large(workspace: Workspace) -> Iterator[str]:
    """3.5 MB bodies, 16 in flight."""
    yield f"{workspace.settings.large_items} bodies of 3.5 MB (b64_json), 16 in flight"
    yield _table(Comparison(LARGE_SIDE, workspace.settings.large_items, 16), workspace)


def memory(workspace: Workspace) -> Iterator[str]:
    """Many large bodies in flight; the peak of memory counts."""
    two = ("batchgen", "bare loop")
    yield "512 bodies of 3.5 MB, 256 in flight"
    yield _table(Comparison(LARGE_SIDE, 512, 256, programs=two), workspace)
    yield "128 bodies of 20 MB, 64 in flight"
    yield _table(Comparison(HUGE_SIDE, 128, 64, programs=two), workspace)


def compare(comparison: Comparison, workspace: Workspace) -> dict[str, list[Usage]]:
    """Return the usage of each program in each round, alternating. Raises RunError."""
    manifest = workspace.folder / "prompts.csv"
    write_manifest(manifest, comparison.items)
    image = noise_png(comparison.side)
    with workspace.output("server") as folder, listen() as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/image.png"
        reply = b64_reply(image) if comparison.answer == "b64_json" else url_reply(url)
        files = {ENDPOINT: reply, "image.png": image}
        with served(folder, listener, files, latency_s=comparison.latency_s) as base_url:
            return _alternate(comparison, workspace, manifest, base_url, len(image))


def _table(comparison: Comparison, workspace: Workspace) -> str:
    return _format(comparison, compare(comparison, workspace))


def _alternate(
    comparison: Comparison, workspace: Workspace, manifest: Path, base_url: str, size_bytes: int
) -> dict[str, list[Usage]]:
    runs: dict[str, list[Usage]] = {name: [] for name in comparison.programs}
    for _ in range(workspace.settings.rounds):
        for name in comparison.programs:
            with workspace.output("images", kept=comparison.side <= SMALL_SIDE) as output:
                start = _Start(manifest, base_url, comparison, output)
                command_line = _PROGRAMS[name](start)
                runs[name].append(run(command_line, environment=environment(), log=workspace.log))
                _inspect(name, output, comparison.items, size_bytes)
    return runs


def _inspect(name: str, output: Path, items: int, size_bytes: int) -> None:
    complete = sum(path.stat().st_size == size_bytes for path in output.glob("*.png"))
    if complete != items:
        raise RunError(f"{name} wrote {complete} complete images of {items}")


def _batchgen(start: _Start) -> list[str]:
    return command(
        "run", start.manifest, "--base-url", start.base_url, "--model", "dall-e-2",
        "--set", f"response_format={start.comparison.answer}", "--concurrency",
        str(start.comparison.in_flight), "--no-progress", "-o", start.output,
    )  # fmt: skip


def _loop(module: str, start: _Start) -> list[str]:
    arguments = (
        start.manifest,
        start.base_url,
        start.comparison.in_flight,
        start.comparison.answer,
        start.output,
    )
    return [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)]


_PROGRAMS: Mapping[str, Callable[[_Start], list[str]]] = {
    "batchgen": _batchgen,
    "bare loop": partial(_loop, "bare_loop"),
    "openai SDK": partial(_loop, "openai_loop"),
}


def _format(comparison: Comparison, runs: Mapping[str, list[Usage]]) -> str:
    return markdown(
        _HEADER, (_row(name, comparison, used, runs["bare loop"]) for name, used in runs.items())
    )


def _row(
    name: str, comparison: Comparison, used: list[Usage], bare: list[Usage]
) -> tuple[str, ...]:
    median = statistics.median
    # One ratio per round: other load on the machine slows both runs of a round.
    ratio = median(theirs.wall_s / ours.wall_s for ours, theirs in zip(used, bare, strict=True))
    return (
        name,
        f"{comparison.items / median(usage.wall_s for usage in used):,.0f}",
        f"{ratio:.2f}",
        f"{1000 * median(usage.cpu_s for usage in used) / comparison.items:.2f}",
        megabytes(median(usage.peak_bytes for usage in used)),
        str(len(used)),
    )
