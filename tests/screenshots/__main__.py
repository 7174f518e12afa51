"""Run a job with the simulator, and take screenshots of the terminal and the report."""

import asyncio
import contextlib
import fcntl
import html
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from PIL import Image

from tests.e2e.command import COMMAND, environment
from tests.e2e.simulated import simulate
from tests.report.browser import Page, a_page, chromium

ROOT = Path(__file__).resolve().parents[2]
IMAGES = ROOT / "docs" / "images"
_COLUMNS = 110
_WIDTH = 1060
_HALF_WAY_S = 6.0
_TERMINAL = """<!doctype html><meta charset="utf-8"><style>
body {{ margin: 0; background: #1c1e22; color: #d8dadf; font: 15px/1.45 monospace; }}
pre {{ margin: 0; padding: 18px 22px; white-space: pre-wrap; }}
b {{ color: #8fc7a4; font-weight: 600; }}
</style><pre>{text}</pre>"""


def run_in_terminal(*words: str, cwd: Path) -> tuple[str, str]:
    """Return the terminal output of a command some seconds after its start, and at its end."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, _COLUMNS, 0, 0))
    process = subprocess.Popen(
        [COMMAND, *words], cwd=cwd, env=environment(LAB_KEY="lab"), stdout=slave, stderr=slave
    )
    os.close(slave)
    output, half_way, started = b"", b"", time.monotonic()
    with contextlib.suppress(OSError):  # the terminal's other end is closed
        while part := os.read(master, 65536):
            output += part
            if time.monotonic() - started < _HALF_WAY_S:
                half_way = output
    process.wait(100)
    os.close(master)
    assert process.returncode in (0, 1), output.decode()
    return _visible(half_way.decode()), _visible(output.decode())


def _visible(output: str) -> str:
    """Return the visible lines, without overwritten parts."""
    plain = re.sub(r"\x1b\[[0-9;]*[A-Za-z]", "", output)
    lines = ([part for part in line.split("\r") if part.strip()] for line in plain.split("\n"))
    return "\n".join(parts[-1].rstrip() for parts in lines if parts)


def write(name: str, data: bytes) -> None:
    """Write a screenshot with few colours, which makes the file small."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB").quantize(64, dither=Image.Dither.NONE)
        small.save(IMAGES / name, "PNG", optimize=True)
    sys.stdout.write(f"{(IMAGES / name).relative_to(ROOT)}\n")


async def take_terminal(page: Page, name: str, text: str, folder: Path) -> None:
    marked = re.sub(r"^(\$ .*)$", r"<b>\1</b>", html.escape(text), flags=re.MULTILINE)
    source = folder / "terminal.html"
    source.write_text(_TERMINAL.format(text=marked))
    await page.resize(_WIDTH, 100)
    await page.open(source.as_uri())
    await page.resize(_WIDTH, await page.evaluate("document.documentElement.scrollHeight"))
    write(name, await page.screenshot())


async def take_report(page: Page, report: Path) -> None:
    all_decoded = "Promise.all([...document.images].map((image) => image.decode().catch(() => 0)))"
    for name, view, width, height, dark in (
        ("gallery.png", "gallery", 1200, 620, False),
        ("grid.png", "grid", 1200, 620, True),
        ("charts.png", "charts", 1200, 620, False),
        ("phone.png", "gallery", 390, 620, False),
    ):
        await page.resize(width, height, dark=dark)
        await page.open("about:blank")
        await page.open(f"{report.as_uri()}#/{view}")
        await page.evaluate(all_decoded)
        write(name, await page.screenshot())


async def take_all(address: str, folder: Path, texts: dict[str, str], report: Path) -> None:
    async with a_page(address) as page:
        for name, text in texts.items():
            await take_terminal(page, name, text, folder)
        await take_report(page, report)


def main() -> None:
    """Write all images in docs/images."""
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="screenshots-") as name:
        folder = Path(name)
        (folder / "postcards.yaml").write_text((ROOT / "tests/screenshots/job.yaml").read_text())
        with simulate("--latency", "1.2s±0.5", "--faults", "500=0.4", cwd=folder) as url:
            words = ("postcards.yaml", "--base-url", url, "--api-key-env", "LAB_KEY")
            half_way, ended = run_in_terminal("run", *words, "--report", cwd=folder)
        texts = {
            "run.png": f"$ batchgen run postcards.yaml\n{half_way}",
            "summary.png": f"$ batchgen run postcards.yaml\n{ended}",
        }
        flags = f" --base-url {url} --api-key-env LAB_KEY"
        texts = {key: text.replace(flags, "") for key, text in texts.items()}
        with chromium(folder / "profile") as address:
            report = folder / "out" / "postcards" / "report.html"
            asyncio.run(take_all(address, folder, texts, report))


if __name__ == "__main__":
    main()
