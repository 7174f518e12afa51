"""A job whose runs are killed, and the checks of its output directory at the end."""

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
from tests.torture.launcher import LaunchRequest
from tests.torture.machine import Machine
from tests.torture.provider import Provider

ROOT = Path(__file__).resolve().parents[2]
KILLED = -SIGKILL
_NO_FAULTS = Machine()


@dataclass(frozen=True, slots=True)
class Launcher:
    """The process that forks the runs."""

    process: "subprocess.Popen[bytes]"

    def launch(self, request: LaunchRequest) -> int:
        """Carry out a request; return the exit code of the run."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(msgspec.json.encode(request) + b"\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())


@contextmanager
def start_launcher() -> Iterator[Launcher]:
    """Start a launcher; stop it at the end of the block."""
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
    """A row of a job. marker: a text that occurs in its request only."""

    id: str
    marker: str
    family: Family


@dataclass(frozen=True, slots=True)
class Job:
    """A job in `folder`, with its rows in manifest order.

    images: generations per task.
    """

    folder: Path
    launcher: Launcher
    provider: Provider
    rows: list[Row]
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
        machine: Machine = _NO_FAULTS,
    ) -> int:
        """Run the job to its end or until it is killed; return the exit code."""
        arguments = (
            "run", "job.yaml", "--base-url", self.provider.base_url,
            "-o", "out", "--concurrency", str(self.workers), "--quiet", *more,
        )  # fmt: skip
        return await self._command(arguments, fault, kill_after_s, machine)

    async def verify(self) -> int:
        """Check that the ledger and the files agree; return the exit code."""
        return await self._command(("verify", "out"))

    async def _command(
        self,
        arguments: Sequence[str],
        fault: Fault | None = None,
        kill_after_s: float | None = None,
        machine: Machine = _NO_FAULTS,
    ) -> int:
        folder = str(self.folder)
        request = LaunchRequest(
            list(arguments), folder, f"{folder}/log", fault, kill_after_s, machine
        )
        return await asyncio.to_thread(self.launcher.launch, request)

    async def finish_and_check(self) -> None:
        """Run the job to its end, and compare all files with what the provider generated."""
        code = await self.run()
        log = (self.folder / "log").read_text()
        assert (code, "Traceback" in log) == (0, False), log
        lines = results(self.out)
        assert [(line["id"], line["status"]) for line in lines] == [
            (row.id, "succeeded") for row in self.rows
        ]
        stored = {artifact["path"] for line in lines for artifact in line["artifacts"]}
        sidecars = {f"{path}.json" for path in stored}
        assert stored | sidecars | {"results.jsonl", "summary.json"} == self._files()
        assert list((self.out / ".batchgen" / "tmp").iterdir()) == []
        for row, line in zip(self.rows, lines, strict=True):
            self._check(row, line)

    def _check(self, row: Row, line: dict[str, Any]) -> None:
        """Check that the files of a task are complete generations for it, none of them twice."""
        artifacts = line["artifacts"]
        kept = [(self.out / artifact["path"]).read_bytes() for artifact in artifacts]
        count = row.family.files
        parts = [_parse_json(kept[start : start + count]) for start in range(0, len(kept), count)]
        assert len(parts) == self.images, line
        assert all(parts.count(part) == 1 for part in parts)
        generations = [_parse_json(files) for files in self.provider.generations_for(row.marker)]
        assert all(part in generations for part in parts), line
        hashes = [hashlib.sha256(data).hexdigest() for data in kept]
        assert hashes == [artifact["sha256"] for artifact in artifacts]

    def take_log(self) -> str:
        """Return the log of the runs so far, and delete it."""
        log = self.folder / "log"
        text = log.read_text()
        log.unlink()
        assert "Traceback" not in text, text
        return text

    def _files(self) -> set[str]:
        paths = (path.relative_to(self.out) for path in self.out.rglob("*") if path.is_file())
        return {path.as_posix() for path in paths if path.parts[0] != ".batchgen"}

    def statuses(self) -> dict[str, str]:
        """Return the statuses in the ledger by task id."""
        path = self.out / ".batchgen" / "ledger.sqlite3"
        if not path.exists():
            return {}
        with closing(sqlite3.connect(path)) as ledger:
            return dict(ledger.execute("SELECT id, status FROM tasks").fetchall())


def _parse_json(files: Sequence[bytes]) -> list[Any]:
    """Parse JSON files, whose spaces do not matter; return other files unchanged."""
    return [json.loads(data) if data[:1] == b"{" else data for data in files]


def make_job(
    folder: Path, launcher: Launcher, provider: Provider, *, rows: int, workers: int,
    families: Sequence[Family] = (), images: int = 1, seed: int = 0,
) -> Job:  # fmt: skip
    """Write a job: rows of these families in turn, or of images in base64 and at URLs at random."""
    rng = random.Random(seed)  # noqa: S311  # not a secret
    job_rows = []
    for number in range(rows):
        random_family = URLS if rng.random() < 0.5 else BASE64  # half of them
        family = families[number % len(families)] if families else random_family
        job_rows.append(Row(f"t{number}", f"no-{number}.", family))
    job = {
        "provider": job_rows[0].family.provider,
        "output": {"sidecar": True},
        "limits": {"polling": {"first": "5ms", "interval": "5ms"}, "fetch_deadline": "300ms"},
        "defaults": {"n": images} if images > 1 else {},
        "retry": {"backoff": {"initial": "1ms", "max": "5ms"}},
        "prompts": [_row_fields(row) for row in job_rows],
    }
    (folder / "job.yaml").write_text(json.dumps(job))
    return Job(folder, launcher, provider, job_rows, images, workers)


def _row_fields(row: Row) -> dict[str, Any]:
    family = row.family
    return {"id": row.id, "model": family.model, **family.fields, **family.row(row.marker)}
