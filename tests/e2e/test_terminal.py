"""What a manifest, a reply or a file name says never controls the terminal."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import batchgen, results
from tests.given import a_png
from tests.loopback import Reply, Request, serving

KEY = {"AIMLAPI_API_KEY": "sk-canary-7731"}
EVIL = "\x1b]0;owned\x07\x1b[2J\x9b31m\x7f\u202e\u2066\u2028"
CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@contextmanager
def _serving() -> Iterator[tuple[str, list[str]]]:
    """Answer "urls" with 20,000 URLs, "bad" with an error, others with a picture."""
    fetched: list[str] = []
    png = b64encode(a_png()).decode()

    def reply(request: Request) -> Reply:
        identified = {"X-Request-Id": "a\x9b1m"}
        if request.method == "GET":
            fetched.append(request.path)
            return Reply(200, a_png(), identified)
        prompt = request.json["prompt"]
        if prompt.startswith("bad"):
            return Reply(400, {"error": {"message": EVIL, "code": EVIL}}, identified)
        if prompt.startswith("urls"):
            data = [{"url": f"{request.origin}/{number}"} for number in range(20_000)]
        elif prompt.startswith("base64"):
            data = [{"b64_json": png}] * 300
        else:
            data = [{"b64_json": png, "revised_prompt": f"revised {EVIL}"}]
        return Reply(200, {"data": data}, identified)

    with serving(reply) as address:
        yield f"{address}/v1", fetched


def test_no_output_of_any_command_has_control_characters(tmp_path: Path) -> None:
    rows = [
        {"id": "a\u202eb", "prompt": f"good {EVIL}", "model": "dall-e-2", f"x{EVIL}": EVIL},
        {"id": "c", "prompt": f"bad {EVIL}", "model": "dall-e-2"},
    ]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    wrong = [
        {"prompt": "a", "model": EVIL, f"n{EVIL}": 1},
        {"prompt": "a", "model": "dall-e-2", "n": f"two{EVIL}", "size": EVIL},
        {"prompt": "a{x" + EVIL, "model": "dall-e-2", "filename": f"../{EVIL}"},
    ]
    (tmp_path / "wrong.jsonl").write_text("".join(json.dumps(row) + "\n" for row in wrong))
    (tmp_path / "wrong.csv").write_text(f"prompt,model,n{EVIL},{EVIL}\na,dall-e-2,1,\n", "utf-8")
    (tmp_path / "wrong.yaml").write_text(
        json.dumps({"name": EVIL, EVIL: 1, "prompts": [], "provider": EVIL})
    )
    with _serving() as (base_url, _):
        run = ("run", "m.jsonl", "-o", "out", "--base-url", base_url, "--report")
        commands: tuple[tuple[str, ...], ...] = (
            run,
            (*run, "--retry-failed", "--log-format", "json"),
            (*run, "--retry-failed", "-q"),
            *(("plan", f"wrong.{suffix}") for suffix in ("jsonl", "csv", "yaml")),
            ("plan", "wrong.jsonl", "--json"),
            ("plan", "m.jsonl", "-o", "out"),
            ("plan", f"{EVIL}.csv".replace("\0", "")),
            *(("results", "out", "--format", name) for name in ("csv", "yaml", "jsonl")),
            *(("results", "out", "--format", name) for name in ("openai-batch",)),
            ("status", "out"),
            ("status", "out", "--json"),
            ("status", EVIL),
            ("verify", "out"),
            ("verify", "out", "--json"),
            ("report", "out"),
            ("models", EVIL),
            ("models", "--provider", EVIL),
            ("show", EVIL),
            (EVIL,),
            ("run", "m.jsonl", f"--{EVIL}"),
            ("run", "m.jsonl", "--rpm", EVIL),
        )
        found = {}
        for command in commands:
            ended = batchgen(*command, cwd=tmp_path, **KEY)
            if control := CONTROL.search((ended.out + ended.err).replace("\r\n", "\n")):
                found[command] = control[0]
    (artifact,) = (tmp_path / "out").glob("*.png")
    ended = batchgen("show", artifact, cwd=tmp_path)
    assert ended.code == 0
    assert CONTROL.search(ended.out + ended.err) is None
    assert found == {}


def test_a_text_stays_as_it_is_in_files(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text(json.dumps({"prompt": f"fox {EVIL}", "model": "dall-e-2"}))
    with _serving() as (base_url, _):
        ended = batchgen("run", "m.jsonl", "-o", "out", "--base-url", base_url, cwd=tmp_path, **KEY)
    assert ended.code == 0
    line = (tmp_path / "out" / "results.jsonl").read_text()
    assert json.loads(line)["prompt"] == f"fox {EVIL}"
    for suffix in ("csv", "jsonl"):
        batchgen("results", "out", "--format", suffix, "-o", f"r.{suffix}", cwd=tmp_path)
    assert f"fox {EVIL}" in (tmp_path / "r.csv").read_text("utf-8-sig")
    printed = batchgen("results", "out", "--format", "jsonl", cwd=tmp_path).out
    assert json.loads(printed)["prompt"] == f"fox {EVIL}"


def test_a_reply_with_more_files_than_were_asked_for_is_cut_and_named(tmp_path: Path) -> None:
    rows = [{"prompt": kind, "model": "dall-e-2", "n": 1} for kind in ("urls", "base64")]
    (tmp_path / "m.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    with _serving() as (base_url, fetched):
        ended = batchgen("run", "m.jsonl", "-o", "out", "--base-url", base_url, cwd=tmp_path, **KEY)
    assert ended.code == 0
    assert len(fetched) == 16
    assert [len(line["artifacts"]) for line in results(tmp_path / "out")] == [16, 16]
    assert ended.err.count("more files than were asked for, the first 16 are stored") == 2
