"""Each job of docs/providers.md, run against a server that records path, parameters and headers."""

import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import batchgen
from tests.given import a_png
from tests.loopback import Reply, Request, serving

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
JOBS = re.findall(r"^```yaml\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
KEY = "canary-key-7731"
AZURE = ("api-key", KEY)
BEARER = ("authorization", f"Bearer {KEY}")
_DEPLOYMENT = "/openai/deployments/my-images/images/generations?api-version=2025-04-01-preview"
# By the order of the page: the path with its parameters, and the header with the key.
EXPECTED: tuple[tuple[str, tuple[str, str] | None], ...] = (
    ("/v1/images/generations", BEARER),
    ("/openai/v1/images/generations", AZURE),
    (_DEPLOYMENT, AZURE),
    (_DEPLOYMENT, AZURE),
    ("/api/v1/chat/completions", BEARER),
    ("/v1/images/generations", BEARER),
    ("/fal-ai/flux/schnell", ("authorization", f"Key {KEY}")),
    ("/fal-ai/flux/schnell", ("authorization", f"Key {KEY}")),
    ("/v1/images/generations", None),
    ("/v1/embeddings", BEARER),
    ("/v1/images/generations", BEARER),
)
REPLIES = {
    "/chat/": {"choices": [{"message": {"content": "A fox."}}]},
    "/embeddings": {"data": [{"index": 0, "embedding": [0.5, -1]}]},
}
IMAGES = {"data": [{"b64_json": b64encode(a_png()).decode()}]}


@contextmanager
def _serving() -> Iterator[tuple[str, list[tuple[str, dict[str, str]]]]]:
    received: list[tuple[str, dict[str, str]]] = []

    def reply(request: Request) -> Reply:
        received.append(
            (request.path, {name.lower(): text for name, text in request.headers.items()})
        )
        kind = next((kind for kind in REPLIES if kind in request.path), "")
        return Reply(200, REPLIES[kind] if kind else IMAGES)

    with serving(reply) as address:
        yield address, received


def test_every_job_of_the_page_has_an_expectation() -> None:
    assert len(JOBS) == len(EXPECTED)


@pytest.mark.parametrize(("job", "expected"), list(zip(JOBS, EXPECTED, strict=True)))
def test_a_job_of_the_page_reaches_its_address_with_its_key(
    job: str, expected: tuple[str, tuple[str, str] | None], tmp_path: Path
) -> None:
    names = set(re.findall(r"\b([A-Z][A-Z0-9_]*_KEY)\b", job))
    with _serving() as (base, received):
        text = re.sub(r"(base_url: \"?)https?://[^/\s?\"]+", rf"\g<1>{base}", job)
        words = ("--base-url", f"{base}/v1") if "base_url" not in job else ()
        (tmp_path / "job.yaml").write_text(text)
        ended = batchgen(
            "run", "job.yaml", "-o", "out", *words, cwd=tmp_path, **dict.fromkeys(names, KEY)
        )
    assert ended.code == 0, ended.err
    ((path, headers),) = received
    assert path == expected[0]
    if expected[1] is None:
        assert KEY not in headers.values()
    else:
        name, value = expected[1]
        assert headers[name] == value
    assert KEY not in path


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("base_url: 'https://a.example/v1?api-key=x'", "the parameter `api-key` looks like a key"),
        ("paths: {images: '/x?code=y'}", "the parameter `code` looks like a key"),
        (f"base_url: 'https://a.example/v1?region={KEY}'", "contains the key of LAB_API_KEY"),
        (f"paths: {{images: '/x/{KEY}'}}", "contains the key of LAB_API_KEY"),
    ],
)
@pytest.mark.parametrize("command", ["plan", "run"])
def test_a_key_in_a_url_is_refused_with_file_and_line(
    command: str, entry: str, message: str, tmp_path: Path
) -> None:
    base = "" if entry.startswith("base_url") else "    base_url: https://a.example\n"
    job = f"provider: lab\nproviders:\n  lab:\n{base}    {entry}\nprompts: [a red fox]\n"
    (tmp_path / "job.yaml").write_text(job)
    ended = batchgen(command, "job.yaml", cwd=tmp_path, LAB_API_KEY=KEY)
    assert ended.code == 2
    assert re.search(r"job\.yaml:[345]: ", ended.err)
    assert message in ended.err
    assert KEY not in ended.err
