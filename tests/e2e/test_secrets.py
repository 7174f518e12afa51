"""A key that a provider repeats, in any spelling, is in no file and no output of a run."""

import html
import re
from base64 import b64decode, b64encode, urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

import pytest
import yaml

from tests.e2e.command import batchgen
from tests.given import a_png
from tests.loopback import Handler, Reply, Request, handling

KEY = "9f/Zk3QmTop/Secret77aa"
OTHER_KEY = "lab:77/Canary-Nine"
PROXY_PASSWORD = "p4ss/w0rd-canary"  # noqa: S105  # of no proxy
SECRETS = (KEY, OTHER_KEY, PROXY_PASSWORD)
ENVIRONMENT = {
    "LAB_KEY": KEY,
    "AIMLAPI_API_KEY": OTHER_KEY,
    "COPY_OF_KEY": KEY,
    "HTTPS_PROXY": f"http://me:{quote(PROXY_PASSWORD, safe='')}@127.0.0.1:9",
}


def _escapes(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


def _spellings(key: str) -> Iterator[str]:
    """Yield the key as JSON may have it between quotes."""
    yield key
    yield key.replace("/", "\\/")
    yield _escapes(key)
    yield "".join(f"&#{ord(character)};" for character in key)
    yield "".join(f"&#x{ord(character):x}" for character in key)
    yield key.replace("/", "&sol;")
    yield quote(key, safe="")
    yield "".join(f"%{ord(character):02x}" for character in key)
    yield _escapes(quote(key, safe=""))
    for before in ("", "Bearer ", "me:", "0"):
        yield b64encode(f"{before}{key} and more".encode()).decode()
        yield urlsafe_b64encode(f"{before}{key}".encode()).decode().rstrip("=")


SPELLED = [spelling for secret in SECRETS for spelling in _spellings(secret)]
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("results", "out", "--format", "csv"), ("results", "out", "--format", "yaml"),
    ("results", "out"), ("status", "out"), ("status", "out", "--json"), ("verify", "out"),
    ("report", "out"), ("show", "out/results.jsonl"),
)  # fmt: skip
_PNG = b64encode(a_png()).decode()


class _Echo(Handler):
    """Answers the prompt `error N`, `html N` and so on with the N-th spelling."""

    def reply(self, request: Request) -> Reply | None:
        if request.method == "POST":
            return self._generated(request)
        key = quote(KEY, safe="")
        if request.path.startswith("/again"):
            return _reply(307, Location=f"http://127.0.0.1:1/?{key}")
        return _reply(404, f"<title>No {key}</title>", Location=f"/{key}")

    def _generated(self, request: Request) -> Reply | None:
        kind, _, number = request.json["prompt"].partition(" ")
        spelled = SPELLED[int(number) % len(SPELLED)]
        reply: Reply | None
        message = (
            f'{{"{spelled}": 1, "error": {{"code": "{spelled}", "message": "Bad {spelled}!"}}}}'
        )
        match kind:
            case "error" | "wide":
                reply = _reply(400, message.encode("utf-16" if kind == "wide" else "utf-8"))
            case "html":
                reply = _reply(400, f"<html><title>Bad {spelled}</title>")
            case "redirect":
                reply = _reply(307, Location=f"/x?k={quote(spelled)}", **{"X-Request-Id": KEY})
            case "prompt":
                item = f'{{"b64_json": "{_PNG}", "revised_prompt": "A {spelled}"}}'
                reply = _reply(200, f'{{"data": [{item}]}}', **{"X-Request-Id": KEY})
            case "text":
                item = f'{{"b64_json": "{b64encode(KEY.encode()).decode()}"}}'
                reply = _reply(200, f'{{"data": [{item}]}}')
            case "speech":
                reply = _reply(200, f"no sound: {spelled}", **{"Content-Type": "audio/mpeg"})
            case "url":
                reply = _reply(200, f'{{"data": [{{"url": "{request.origin}/{spelled}"}}]}}')
            case "again":
                reply = _reply(200, f'{{"data": [{{"url": "{request.origin}/again"}}]}}')
            case "odd":
                reply = _reply(200, f'{{"odd": "{spelled}", "{spelled}": []}}')
            case _:
                self.wfile.write(f"HTTP/1.1 {KEY} x\r\n{KEY}\r\n\r\n".encode())
                reply = None
        return reply


def _reply(status: int, body: bytes | str = b"", **headers: str) -> Reply:
    return Reply(status, body, {**headers, "X-Echo": KEY})


@contextmanager
def _serving() -> Iterator[str]:
    with handling(_Echo) as address:
        yield f"{address}/v1"


def _job(base_url: str) -> str:
    kinds = {
        **dict.fromkeys(("error", "wide", "html", "prompt"), len(SPELLED)),
        **dict.fromkeys(("url", "redirect"), 2),
        **dict.fromkeys(("again", "malformed"), 1),
    }
    return _yaml(base_url, [f"{kind} {n}" for kind, count in kinds.items() for n in range(count)])


def _yaml(base_url: str, prompts: list[str]) -> str:
    job = {
        "provider": "lab",
        "providers": {"lab": {"base_url": base_url, "api_key_env": "LAB_KEY"}},
        "defaults": {"model": "dall-e-2"},
        "limits": {
            "concurrency": 4,
            "halt_after": 10_000,
            "timeout": "5s",
            "fetch_deadline": "200ms",
        },
        "retry": {"attempts": 1, "backoff": {"initial": "10ms", "max": "10ms"}},
        "output": {"sidecar": True, "embed_metadata": True},
        "prompts": prompts,
    }
    return yaml.safe_dump(job)


def test_a_key_that_the_provider_repeats_is_in_no_file_and_no_output(tmp_path: Path) -> None:
    with _serving() as base_url:
        assert _leaks(_job(base_url), tmp_path) == {}
    assert len(list((tmp_path / "out").glob("*.png"))) == len(SPELLED)


@pytest.mark.parametrize("kind", ["text", "speech", "odd"])
def test_a_reply_that_is_kept_has_no_key(kind: str, tmp_path: Path) -> None:
    with _serving() as base_url:
        job = _yaml(base_url, [f"{kind} {number}" for number in (1, 2, 6, 10)])
        assert _leaks(job, tmp_path, commands=(("results", "out"),)) == {}
    assert list((tmp_path / "out" / ".batchgen" / "replies").iterdir())


def _leaks(
    job: str, tmp_path: Path, commands: tuple[tuple[str, ...], ...] = COMMANDS
) -> dict[str, str]:
    """Return the secrets in the outputs and files of a run of a job and of other commands."""
    notify = "cat > out/notified.json; env > out/environment.txt"
    (tmp_path / "job.yaml").write_text(job)
    words = ("--report", "--log-file", "out.log", "--notify", notify, "--no-progress")
    ended = batchgen("run", "job.yaml", "-o", "out", *words, cwd=tmp_path, **ENVIRONMENT)
    assert ended.code in (1, 3)
    outputs = {"run": ended.out + ended.err, "log": (tmp_path / "out.log").read_text()}
    for command in commands:
        printed = batchgen(*command, cwd=tmp_path, **ENVIRONMENT)
        outputs[" ".join(command)] = printed.out + printed.err
    for path in sorted((tmp_path / "out").rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "environment.txt":  # it has the proxy, which the command may need
                data = b"\n".join(line for line in data.splitlines() if b"PROXY" not in line)
            outputs[str(path)] = data.decode("latin-1")
    return {name: leak for name, text in outputs.items() if (leak := _leak(text))}


def _leak(text: str) -> str | None:
    """Return the first secret that is in a text, or in what it decodes to."""
    texts = {text}
    for _ in range(3):
        texts |= {decode(one) for one in texts for decode in (html.unescape, unquote, _unescape)}
    texts |= {decoded for one in tuple(texts) for decoded in _from_base64(one)}
    return next((secret for secret in SECRETS for one in texts if secret in one), None)


def _unescape(text: str) -> str:
    escape = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\\/\"]))")
    return escape.sub(lambda match: match[2] or chr(int(match[1], 16)), text)


def _from_base64(text: str) -> Iterator[str]:
    for run in re.findall(r"[A-Za-z0-9+/_-]{20,2000}", text):
        standard = run.translate(str.maketrans("-_", "+/"))
        for offset in range(4):
            part = standard[offset:]
            yield b64decode(part[: len(part) // 4 * 4]).decode("latin-1")
