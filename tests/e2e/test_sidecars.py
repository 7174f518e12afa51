"""Images with embedded metadata, and the files beside them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tests.e2e.command import COMMAND, batchgen, environment, results
from tests.e2e.simulated import simulate, stats

JOB = """\
name: spring
provider: simulator
output: {embed_metadata: true, sidecar: true, convert: {format: webp, quality: 70, max_side: 64}}
defaults: {model: dall-e-2, size: 256x256}
prompts:
  - {id: hero, prompt: "A lighthouse, \\"at dawn\\"", n: 2, vars: {sku: A-17}}
  - {id: inline, prompt: "山水画", response_format: b64_json}
"""


@pytest.fixture
def output(tmp_path: Path) -> Path:
    (tmp_path / "spring.yaml").write_text(JOB)
    ended = batchgen("run", "spring.yaml", "--quiet", cwd=tmp_path)
    assert ended.code == 0, ended.err
    return tmp_path / "out" / "spring"


def test_an_image_keeps_its_metadata_in_another_folder(output: Path, tmp_path: Path) -> None:
    shutil.copy(output / "hero-2.png", tmp_path / "moved.png")

    fields = json.loads(batchgen("show", "moved.png", "--json", cwd=tmp_path).out)
    lines = batchgen("show", "moved.png", cwd=tmp_path).out

    assert (fields["id"], fields["prompt"]) == ("hero", 'A lighthouse, "at dawn"')
    assert (fields["model"], fields["params"]["size"]) == ("dall-e-2", "256x256")
    assert 'prompt           A lighthouse, "at dawn"' in lines


def test_the_ledger_has_the_hashes_of_files_with_metadata(output: Path, tmp_path: Path) -> None:
    ended = batchgen("verify", output, cwd=tmp_path)
    assert (ended.code, ended.out) == (0, ""), ended.out
    for line in results(output):
        for artifact in line["artifacts"]:
            with Image.open(output / artifact["path"]) as image:
                image.load()
                assert json.loads(image.info["batchgen"])["key"] == line["key"]


def test_each_image_has_a_sidecar_and_a_smaller_copy(output: Path) -> None:
    sidecar = json.loads((output / "hero-1.png.json").read_text())
    assert (sidecar["prompt"], sidecar["vars"]) == ('A lighthouse, "at dawn"', {"sku": "A-17"})
    assert sidecar["sha256"] == results(output)[0]["artifacts"][0]["sha256"]
    for name in ("hero-1", "hero-2", "inline-1"):
        with Image.open(output / "converted" / f"{name}.webp") as copy:
            assert (copy.format, copy.size) == ("WEBP", (64, 64))
        with Image.open(output / f"{name}.png") as original:
            assert original.size == (256, 256)


def test_missing_and_stale_sidecars_are_written_without_a_request(
    output: Path, tmp_path: Path
) -> None:
    (output / "hero-1.png.json").unlink()
    copy = output / "converted" / "inline-1.webp"
    copy.write_bytes(b"torn")
    os.utime(copy, (1, 1))

    ended = batchgen("run", "spring.yaml", "--quiet", cwd=tmp_path)

    assert ended.code == 0, ended.err
    assert json.loads((output / "summary.json").read_text())["run"]["requests"] == 0
    assert (output / "hero-1.png.json").exists()
    assert copy.read_bytes().startswith(b"RIFF")


def test_a_file_without_metadata_is_found_by_its_hash(tmp_path: Path) -> None:
    words = ["--provider", "simulator", "--model", "dall-e-2", "--set", "size=256x256"]
    (tmp_path / "m.txt").write_text("a fox\n")
    batchgen("run", "m.txt", *words, "-o", "out", cwd=tmp_path)
    (artifact,) = results(tmp_path / "out")[0]["artifacts"]
    (tmp_path / "elsewhere").mkdir()
    shutil.copy(tmp_path / "out" / artifact["path"], tmp_path / "elsewhere" / "x.png")

    inside = batchgen("show", f"out/{artifact['path']}", cwd=tmp_path)
    lost = batchgen("show", "elsewhere/x.png", cwd=tmp_path)
    named = batchgen("show", "elsewhere/x.png", "-o", "out", "--json", cwd=tmp_path)

    assert "prompt           a fox" in inside.out
    assert (lost.code, lost.out) == (2, "")
    assert "-o" in lost.err
    assert json.loads(named.out)["status"] == "succeeded"


def test_embedded_metadata_is_printed_without_control_characters(tmp_path: Path) -> None:
    info = PngInfo()
    info.add_itxt("batchgen", json.dumps({"\x1b[31mred": "a\x1b]0;owned\x07b", "deep": {"x": [1]}}))
    Image.new("RGB", (4, 4)).save(tmp_path / "hostile.png", pnginfo=info)
    info = PngInfo()
    info.add_itxt("batchgen", "[" * 100_000)
    Image.new("RGB", (4, 4)).save(tmp_path / "deep.png", pnginfo=info)

    hostile = batchgen("show", "hostile.png", cwd=tmp_path)
    deep = batchgen("show", "deep.png", cwd=tmp_path)

    assert hostile.code == 0
    assert hostile.out.replace("\n", "").isprintable()
    assert (deep.code, deep.out) == (2, "")


def test_the_run_after_a_killed_one_writes_all_missing_sidecars(
    tmp_path: Path,
) -> None:
    prompts = "".join(f"  - {{id: fox-{number}, prompt: A fox}}\n" for number in range(40))
    (tmp_path / "spring.yaml").write_text(
        JOB.split("prompts:", maxsplit=1)[0] + "prompts:\n" + prompts
    )
    with simulate("--latency", "30ms", cwd=tmp_path) as url:
        words = ["run", "spring.yaml", "--base-url", url, "--provider", "aimlapi"]
        process = subprocess.Popen(
            [COMMAND, *words, "--log-format", "json", "--concurrency", "4"],
            cwd=tmp_path,
            env=environment(AIMLAPI_API_KEY="k"),
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        for line in process.stderr:
            if json.loads(line)["event"] == "task_finished":
                break
        process.kill()
        process.communicate()
        ended = batchgen(*words, "--quiet", cwd=tmp_path, AIMLAPI_API_KEY="k")
        generated = stats(url)["generations"]

    directory = tmp_path / "out" / "spring"
    verified = batchgen("verify", directory, cwd=tmp_path)
    assert (ended.code, generated) == (0, 40), ended.err
    assert (verified.code, verified.out) == (0, "")
    for number in range(40):
        assert json.loads((directory / f"fox-{number}-1.png.json").read_text())["key"]
        with Image.open(directory / "converted" / f"fox-{number}-1.webp") as copy:
            copy.load()
        with Image.open(directory / f"fox-{number}-1.png") as image:
            image.load()
            assert json.loads(image.info["batchgen"])["id"] == f"fox-{number}"
