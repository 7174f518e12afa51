"""Run a case: write its job, start its server, run the command, compare what is expected."""

import asyncio
import copy
import hashlib
import json
import os
import re
import ssl
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from . import samples
from .server import CaseServer

_JOB = {
    "limits": {"concurrency": 2, "polling": {"first": "100ms", "interval": "200ms"}},
    "retry": {"attempts": 4, "backoff": {"initial": "50ms", "max": "400ms"}},
}
_KEY = "canary-4f7a1c09-key"
_VIDEO_MODEL = "kling-video/v1.6/standard/text-to-video"
_LONGEST_S = 90


@dataclass(slots=True)
class Ended:
    """What a run of the command left behind."""

    code: int
    printed: str
    results: list[dict[str, Any]]
    directory: Path


async def problems(case: dict[str, Any], here: Path) -> list[str]:
    """Run a case in an empty folder; return what does not hold."""
    variants = case.get("variants") or [{}]
    for number, variant in enumerate(variants):
        folder = here / f"variant-{number}"
        folder.mkdir(parents=True)
        found = await _run_variant(case, variant, folder)
        if not found:
            return []
    return found


async def _run_variant(case: dict[str, Any], variant: dict[str, Any], here: Path) -> list[str]:
    server = CaseServer(case.get("server", []), tls=_certificate(here) if case.get("tls") else None)
    found = []
    async with server.serving():
        ids = _write_job(case, variant, server, here)
        env = samples.fill(case.get("env", {}), {"here": str(here), "base": server.base})
        runs = case.get("runs") or [{"expect": case["expect"]}]
        for number, run in enumerate(runs, 1):
            server.begin(number)
            ended = await _command(here, env, run.get("flags", []))
            check = _Check(server, ended, ids, run.get("expect", {}))
            found += [f"run {number}: {problem}" for problem in check.problems()]
            if found:
                found.append(ended.printed[-1500:])
                break
    return found


def _write_job(
    case: dict[str, Any], variant: dict[str, Any], server: CaseServer, here: Path
) -> list[str]:
    rows = case.get("rows", 1)
    if isinstance(rows, int):
        rows = [{"id": f"r{n}", "prompt": f"p{n}"} for n in range(rows)]
    job: dict[str, Any] = copy.deepcopy(_JOB)
    job["provider"] = "lab"
    job["providers"] = {"lab": {"base_url": "<base>/v1", "api_key_env": "CANARY_KEY"}}
    job["defaults"] = {"model": _VIDEO_MODEL if case.get("video") else "dall-e-2"}
    job["output"] = {"dir": "out"}
    for layer in (case.get("job", {}), variant):
        _lay(job, samples.fill(layer, {"here": str(here)}))
    job["prompts"] = rows
    filled = samples.fill(job, {"base": server.base, "here": str(here)})
    (here / "job.yaml").write_text(yaml.safe_dump(filled, sort_keys=False))
    return [row["id"] for row in rows]


def _lay(job: dict[str, Any], layer: dict[str, Any]) -> None:
    for name, value in layer.items():
        if isinstance(value, dict) and isinstance(job.get(name), dict):
            _lay(job[name], value)
        else:
            job[name] = value


async def _command(here: Path, env: dict[str, str], flags: list[str]) -> Ended:
    proxies = {"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"}
    clean = {k: v for k, v in os.environ.items() if k.upper() not in proxies}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "batchgen", "run", "job.yaml", *flags,
        cwd=here, env={**clean, "PYTHONWARNINGS": "error", "CANARY_KEY": _KEY, **env},
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    try:
        out, _ = await asyncio.wait_for(process.communicate(), _LONGEST_S)
    except TimeoutError:
        process.kill()
        out = b"TOO LONG: the run took more than 90 s\n" + (await process.communicate())[0]
    path = here / "out" / "results.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines]
    return Ended(process.returncode or 0, out.decode("utf-8", "replace"), results, here / "out")


def _certificate(here: Path) -> ssl.SSLContext:
    certificate, key = here / "cert.pem", here / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


@dataclass(slots=True)
class _Check:
    """Compares what a run did with what is expected."""

    server: CaseServer
    ended: Ended
    ids: list[str]
    expected: dict[str, Any]

    def problems(self) -> list[str]:
        """Return what does not hold."""
        texts = [self.ended.printed, *map(json.dumps, self.ended.results)]
        found = [] if not any(_KEY in text for text in texts) else ["the key is printed"]
        if "Traceback" in self.ended.printed:
            found.append("a traceback")
        return found + list(self._unmet(self.expected))

    def _unmet(self, expected: dict[str, Any]) -> Iterator[str]:
        for name, value in expected.items():
            if name == "any_bytes":
                continue
            if name == "any":
                lists = [list(self._unmet(one)) for one in value]
                if all(lists):
                    yield f"none of {lists}"
                continue
            actual = self._actual(name)
            if not self._holds(name, value, actual):
                yield f"{name}: expected {value}, got {str(actual)[:300]}"

    def _actual(self, name: str) -> Any:
        counts = self.server.counts[self.server.run]
        every = sum((one.prompts for one in self.server.counts.values()), Counter[str]())
        read: dict[str, Callable[[], Any]] = {
            "exit": lambda: self.ended.code,
            "rows": self._statuses,
            "none": self._statuses,
            "row": lambda: {line["id"]: line["status"] for line in self.ended.results},
            "kind": self._kinds,
            "connections": lambda: counts.connections,
            "posts": lambda: counts.requests["post"],
            "files": lambda: counts.requests["file"],
            "polls": lambda: counts.requests["poll"],
            "connects": lambda: counts.requests["connect"],
            "posts_in_all": every.total,
            "posts_per_row": lambda: max(every.values(), default=0),
            "tried": lambda: len(counts.prompts),
            "artifacts": self._paths,
            "suffix": self._paths,
            "cost_at_most": lambda: sum(line["cost_usd"] or 0 for line in self.ended.results),
            "waits": lambda: self.server.waits,
            "says": self._said,
            "kept": self._kept_texts,
        }
        return read[name]()

    def _holds(self, name: str, value: Any, actual: Any) -> bool:
        holds: dict[str, Callable[[], bool]] = {
            "exit": lambda: actual in value,
            "rows": lambda: all(_is_count(actual[status], n) for status, n in value.items()),
            "none": lambda: not any(actual[status] for status in value),
            "row": lambda: all(actual.get(row, "pending") in ok for row, ok in value.items()),
            "kind": lambda: any(kind in actual for kind in value),
            "artifacts": lambda: len(actual) == value and self._are_bytes_right(actual),
            "suffix": lambda: bool(actual) and all(path.endswith(value) for path in actual),
            "waits": lambda: bool(actual) and all(value[0] <= wait <= value[1] for wait in actual),
            "says": lambda: all(_is_found(expressions, actual) for expressions in value),
            "kept": lambda: value in actual,
        }
        if name in ("posts_in_all", "posts_per_row", "cost_at_most"):
            return bool(actual <= value)
        return holds.get(name, lambda: _is_count(actual, value))()

    def _statuses(self) -> Counter[str]:
        statuses = Counter(line["status"] for line in self.ended.results)
        listed = {line["id"] for line in self.ended.results}
        statuses["pending"] += sum(row not in listed for row in self.ids)
        return statuses

    def _paths(self) -> list[str]:
        return [artifact["path"] for line in self.ended.results for artifact in line["artifacts"]]

    def _said(self) -> str:
        errors = (json.dumps(line["error"] or "") for line in self.ended.results)
        return "\n".join([" ".join(self.ended.printed.split()), *errors])

    def _kinds(self) -> str:
        errors = {line["error"]["kind"] for line in self.ended.results if line["error"]}
        summary = self.ended.directory / "summary.json"
        stopped = summary.read_text() if summary.exists() else ""
        return " ".join(sorted(errors)) + self.ended.printed + stopped

    def _are_bytes_right(self, paths: list[str]) -> bool:
        if self.expected.get("any_bytes"):
            return True
        sent = {hashlib.sha256(data).hexdigest() for data in self.server.sent}
        files = (self.ended.directory / path for path in paths)
        return all(hashlib.sha256(file.read_bytes()).hexdigest() in sent for file in files)

    def _kept_texts(self) -> str:
        texts = [json.dumps(self.ended.results)]
        named = " ".join([self.ended.printed, *texts])
        files = (file for file in self.ended.directory.rglob("*") if file.is_file())
        kept = (file for file in files if file.name in named and "sqlite" not in file.name)
        return "\n".join([*texts, *(file.read_text("utf-8", "replace") for file in kept)])


def _is_found(expressions: list[str], text: str) -> bool:
    return any(re.search(expression, text, re.IGNORECASE) for expression in expressions)


def _is_count(actual: int, expected: Any) -> bool:
    least, most = expected if isinstance(expected, list) else (expected, expected)
    return bool(least <= actual <= most)
