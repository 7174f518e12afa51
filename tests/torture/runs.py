"""A job whose runs are killed, and what is asked of its output directory in the end."""

import asyncio
import hashlib
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from signal import SIGKILL
from typing import Any

import msgspec

from tests.e2e.command import environment, results
from tests.torture.families import BASE64, URLS, Family
from tests.torture.fault import Fault
from tests.torture.launcher import Order
from tests.torture.machine import Machine
from tests.torture.provider import Provider

ROOT = Path(__file__).resolve().parents[2]
KILLED = -SIGKILL
_SOUND = Machine()


@dataclass(frozen=True, slots=True)
class Launcher:
    """The process that starts runs."""

    process: "subprocess.Popen[bytes]"

    def ended(self, order: Order) -> int:
        """Carry out an order; return the exit code of the run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(order) + b"\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def launching() -> Iterator[Launcher]:
    """A launcher that lives as long as the block."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.torture.launcher"],
        cwd=ROOT,
        env=environment(AIMLAPI_API_KEY="sk-torture", OPENAI_API_KEY="sk-torture"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        yield Launcher(process)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(20) == 0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a job. mark: stands in its request and in no other's."""

    id: str
    mark: str
    family: Family


@dataclass(frozen=True, slots=True)
class Job:
    """A job below `folder`: its rows in manifest order, and the words that run it.

    images: generations of each task.
    """

    folder: Path
    launcher: Launcher
    provider: Provider
    tasks: list[Row]
    images: int
    workers: int

    @property
    def out(self) -> Path:
        """The output directory."""
        return self.folder / "out"

    async def run(
        self,
        *more: str,
        fault: Fault | None = None,
        kill_after_s: float | None = None,
        machine: Machine = _SOUND,
    ) -> int:
        """Run it, to its end or until it is killed; return the exit code."""
        words = (
            "run", "job.yaml", "--base-url", self.provider.base_url,
            "-o", "out", "--concurrency", str(self.workers), "--quiet", *more,
        )  # fmt: skip
        return await self._command(words, fault, kill_after_s, machine)

    async def verify(self) -> int:
        """Hold the ledger against the files; return the exit code."""
        return await self._command(("verify", "out"))

    async def _command(
        self,
        words: Sequence[str],
        fault: Fault | None = None,
        kill_after_s: float | None = None,
        machine: Machine = _SOUND,
    ) -> int:
        folder = str(self.folder)
        order = Order(list(words), folder, f"{folder}/log", fault, kill_after_s, machine)
        return await asyncio.to_thread(self.launcher.ended, order)

    async def finish(self) -> None:
        """Run it to its end, and hold everything that is there against what the provider made."""
        code = await self.run()
        log = (self.folder / "log").read_text()
        assert (code, "Traceback" in log) == (0, False), log
        lines = results(self.out)
        assert [(line["id"], line["status"]) for line in lines] == [
            (row.id, "succeeded") for row in self.tasks
        ]
        stored = {artifact["path"] for line in lines for artifact in line["artifacts"]}
        sidecars = {f"{path}.json" for path in stored}
        assert stored | sidecars | {"results.jsonl", "summary.json"} == self._files()
        assert list((self.out / ".batchgen" / "tmp").iterdir()) == []
        for row, line in zip(self.tasks, lines, strict=True):
            self._check(row, line)

    def _check(self, row: Row, line: dict[str, Any]) -> None:
        """The files of a task are whole generations that were made for it, none of them twice."""
        artifacts = line["artifacts"]
        kept = [(self.out / artifact["path"]).read_bytes() for artifact in artifacts]
        count = row.family.files
        parts = [_told(kept[start : start + count]) for start in range(0, len(kept), count)]
        assert len(parts) == self.images, line
        assert all(parts.count(part) == 1 for part in parts)
        made = [_told(files) for files in self.provider.generations_of(row.mark)]
        assert all(part in made for part in parts), line
        hashes = [hashlib.sha256(data).hexdigest() for data in kept]
        assert hashes == [artifact["sha256"] for artifact in artifacts]

    def told(self) -> str:
        """What the runs have written, which is not kept."""
        log = self.folder / "log"
        text = log.read_text()
        log.unlink()
        assert "Traceback" not in text, text
        return text

    def _files(self) -> set[str]:
        paths = (path.relative_to(self.out) for path in self.out.rglob("*") if path.is_file())
        return {path.as_posix() for path in paths if path.parts[0] != ".batchgen"}

    def statuses(self) -> dict[str, str]:
        """What the ledger says of each task that it has a row of, by id."""
        path = self.out / ".batchgen" / "ledger.sqlite3"
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path)) as ledger:
            return dict(ledger.execute("SELECT id, status FROM tasks").fetchall())


def _told(files: Sequence[bytes]) -> list[Any]:
    """What files say: to the byte, but for the spaces of JSON."""
    return [json.loads(data) if data[:1] == b"{" else data for data in files]


def a_job(  # what makes a job
    folder: Path, launcher: Launcher, provider: Provider, *, tasks: int, workers: int,
    families: Sequence[Family] = (), images: int = 1, seed: int = 0,
) -> Job:  # fmt: skip
    """A job of so many tasks, of these families in turn; or of images in both kinds of replies."""
    dice = random.Random(seed)  # noqa: S311  # a test's
    rows = []
    for number in range(tasks):
        drawn = URLS if dice.random() < 0.5 else BASE64  # half of them
        family = families[number % len(families)] if families else drawn
        rows.append(Row(f"t{number}", f"no-{number}.", family))
    job = {
        "provider": rows[0].family.provider,
        "output": {"sidecar": True},
        "limits": {"polling": {"first": "5ms", "interval": "5ms"}},
        "defaults": {"n": images} if images > 1 else {},
        "retry": {"backoff": {"initial": "1ms", "max": "5ms"}},
        "prompts": [_told_row(row) for row in rows],
    }
    (folder / "job.yaml").write_text(json.dumps(job))
    return Job(folder, launcher, provider, rows, images, workers)


def _told_row(row: Row) -> dict[str, Any]:
    family = row.family
    return {"id": row.id, "model": family.model, **family.fields, **family.row(row.mark)}
