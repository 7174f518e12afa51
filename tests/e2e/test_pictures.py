"""What a run and a report take of memory if a provider sends pictures that unpack to gigabytes."""

import struct
import zlib
from base64 import b64encode
from pathlib import Path

import pytest

from tests.bench.usage import run
from tests.e2e.command import COMMAND, environment, results
from tests.loopback import Reply, serving

MAX_MB = 400
_SIDE = 8000
KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
JOB = """\
defaults: {model: dall-e-2}
output: {convert: {format: webp}}
prompts: [{prompt: A fox, repeat: 6}]
"""


@pytest.fixture(scope="module")
def bomb() -> bytes:
    """Return a PNG of 8000 x 8000 pixels, 16-bit RGBA, all zeros, in half a megabyte."""
    packer = zlib.compressobj(1)
    row = bytes(1 + _SIDE * 8)
    data = b"".join([*(packer.compress(row) for _ in range(_SIDE)), packer.flush()])
    head = struct.pack(">IIBBBBB", _SIDE, _SIDE, 16, 6, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(part)) + kind + part + struct.pack(">I", zlib.crc32(kind + part))
        for kind, part in chunks
    )


def _reply(picture: bytes) -> Reply:
    return Reply(200, {"data": [{"b64_json": b64encode(picture).decode()}]})


def _run(*words: str, cwd: Path) -> tuple[str, float]:
    """Run the command, which must succeed; return its messages, and its peak of memory in MB."""
    log = cwd / "output.log"
    peak = run([str(COMMAND), *words], environment=environment(**KEY), log=log, cwd=cwd).peak_bytes
    return log.read_text(), peak / 1e6


def test_pictures_that_unpack_to_gigabytes_are_kept_and_not_unpacked(
    bomb: bytes, tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    with serving(lambda _: _reply(bomb)) as address:
        words = ("job.yaml", "-o", "out", "--base-url", f"{address}/v1")
        messages, peak_mb = _run("run", *words, cwd=tmp_path)
    assert peak_mb < MAX_MB
    lines = results(tmp_path / "out")
    assert [(tmp_path / "out" / line["artifacts"][0]["path"]).read_bytes() for line in lines] == [
        bomb
    ] * 6
    assert "8000 x 8000 pixels take too much memory" in messages
    assert "6 images have no converted copy" in messages
    assert not (tmp_path / "out" / "converted").exists()

    _, peak_mb = _run("report", "out", "--contact-sheet", "sheet.png", cwd=tmp_path)
    assert peak_mb < MAX_MB


def test_a_report_says_which_pictures_are_too_large_for_a_preview(tmp_path: Path) -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 30_000, 30_000) + bytes(30_000)
    (tmp_path / "job.yaml").write_text(JOB.replace("output: {convert: {format: webp}}\n", ""))
    picture += b"\0\0\0\0IEND\xaeB`\x82"
    with serving(lambda _: _reply(picture)) as address:
        words = ("job.yaml", "-o", "out", "--base-url", f"{address}/v1")
        _run("run", *words, cwd=tmp_path)
    messages, peak_mb = _run("report", "out", cwd=tmp_path)
    assert "6 images are too large for a preview" in messages
    assert (
        "30000 x 30000 pixels: too large for a preview"
        in (tmp_path / "out" / "report.html").read_text()
    )
    assert peak_mb < MAX_MB
