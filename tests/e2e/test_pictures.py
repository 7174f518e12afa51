"""What a run and a report take of memory if a provider sends pictures that unpack to gigabytes."""

import os
import struct
import subprocess
import zlib
from base64 import b64encode
from pathlib import Path

import pytest

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


def _peak(*words: str, cwd: Path) -> tuple[int, str, int]:
    """Run the command; return its exit code, its messages, and its peak of memory in MB."""
    process = subprocess.Popen(
        [COMMAND, *words], cwd=cwd, env=environment(**KEY), stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    messages = process.stderr.read()
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, messages, usage.ru_maxrss // 1024


def test_pictures_that_unpack_to_gigabytes_are_kept_and_not_unpacked(
    bomb: bytes, tmp_path: Path
) -> None:
    (tmp_path / "job.yaml").write_text(JOB)
    with serving(lambda _: _reply(bomb)) as address:
        words = ("job.yaml", "-o", "out", "--base-url", f"{address}/v1")
        code, messages, peak_mb = _peak("run", *words, cwd=tmp_path)
    assert (code, peak_mb < MAX_MB) == (0, True)
    lines = results(tmp_path / "out")
    assert [(tmp_path / "out" / line["artifacts"][0]["path"]).read_bytes() for line in lines] == [
        bomb
    ] * 6
    assert "8000 x 8000 pixels take too much memory" in messages
    assert "6 images have no converted copy" in messages
    assert not (tmp_path / "out" / "converted").exists()

    code, _, peak_mb = _peak("report", "out", "--contact-sheet", "sheet.png", cwd=tmp_path)
    assert (code, peak_mb < MAX_MB) == (0, True)


def test_a_report_says_which_pictures_are_too_large_for_a_preview(tmp_path: Path) -> None:
    picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 30_000, 30_000) + bytes(30_000)
    (tmp_path / "job.yaml").write_text(JOB.replace("output: {convert: {format: webp}}\n", ""))
    picture += b"\0\0\0\0IEND\xaeB`\x82"
    with serving(lambda _: _reply(picture)) as address:
        words = ("job.yaml", "-o", "out", "--base-url", f"{address}/v1")
        assert _peak("run", *words, cwd=tmp_path)[0] == 0
    _, messages, peak_mb = _peak("report", "out", cwd=tmp_path)
    assert "6 images are too large for a preview" in messages
    assert (
        "30000 x 30000 pixels: too large for a preview"
        in (tmp_path / "out" / "report.html").read_text()
    )
    assert peak_mb < MAX_MB
