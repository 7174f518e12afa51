"""A run through a LiteLLM proxy in front of the simulator. Opt-in.

The package has hundreds of dependencies, so it needs its own virtual environment:

    python3 -m venv /tmp/litellm && /tmp/litellm/bin/pip install 'litellm[proxy]'
    BATCHGEN_LITELLM=/tmp/litellm/bin/litellm python -m pytest tests/e2e/test_litellm.py
"""

import os
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.command import batchgen, environment, results
from tests.e2e.simulated import simulate
from tests.given import a_png

LITELLM = os.environ.get("BATCHGEN_LITELLM", "")
pytestmark = [
    pytest.mark.litellm,
    pytest.mark.skipif(
        not LITELLM,
        reason="needs a LiteLLM proxy: see the first lines of tests/e2e/test_litellm.py",
    ),
    pytest.mark.timeout(300),
]
_KEY = "sk-lab-canary"
_CONFIG = """\
model_list:
  - model_name: dall-e-2
    litellm_params: {model: openai/dall-e-2, api_base: os.environ/UPSTREAM, api_key: k}
  - model_name: gpt-image-1
    litellm_params: {model: openai/gpt-image-1, api_base: os.environ/UPSTREAM, api_key: k}
"""
_JOB = """\
provider: lab
providers: {{lab: {{base_url: "{base_url}", api_key_env: LAB_KEY, catalog: openai}}}}
output: {{dir: out}}
prompts:
  - {{id: two, model: dall-e-2, prompt: A fox, n: 2, size: 256x256}}
  - {{id: inline, model: dall-e-2, prompt: A fox, size: 256x256, response_format: b64_json}}
  - {{id: drawn, model: gpt-image-1, prompt: A fox, output_format: webp, background: opaque}}
  - {{id: edit, model: gpt-image-1, prompt: Red, image: photo.png, mask: photo.png}}
  - {{id: several, model: gpt-image-1, prompt: Red, image: [photo.png, photo.png]}}
  - {{id: refused, model: dall-e-2, prompt: A forbidden-word}}
"""


@contextmanager
def proxy(upstream: str, cwd: Path) -> Iterator[str]:
    """A LiteLLM proxy on a free port, until the block ends."""
    (cwd / "litellm.yaml").write_text(_CONFIG)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    variables = {"UPSTREAM": upstream, "LITELLM_MASTER_KEY": _KEY, "PYTHONWARNINGS": "ignore"}
    words = ["--config", "litellm.yaml", "--host", "127.0.0.1", "--port", str(port)]
    with (cwd / "litellm.log").open("wb") as log:
        process = subprocess.Popen(
            [LITELLM, *words], cwd=cwd, env=environment(**variables), stdout=log, stderr=log
        )
        try:
            _await(f"http://127.0.0.1:{port}/health/liveliness", process)
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            process.wait(30)


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    while process.poll() is None:
        try:
            with urllib.request.urlopen(url):  # noqa: S310  # loopback
                return
        except urllib.error.URLError:
            time.sleep(0.5)  # it does not report when it is ready
    pytest.fail("the proxy ended by itself; see litellm.log")


def test_a_job_runs_through_a_litellm_proxy(tmp_path: Path) -> None:
    (tmp_path / "photo.png").write_bytes(a_png())
    with simulate(cwd=tmp_path) as upstream, proxy(upstream, tmp_path) as base_url:
        (tmp_path / "job.yaml").write_text(_JOB.format(base_url=base_url))
        ended = batchgen("run", "job.yaml", cwd=tmp_path, LAB_KEY=_KEY)

    lines = {line["id"]: line for line in results(tmp_path / "out")}
    refused = lines.pop("refused")
    assert [line["error"] for line in lines.values()] == [None] * len(lines)
    assert (ended.code, refused["status"]) == (1, "refused")
    assert [len(line["artifacts"]) for line in lines.values()] == [2, 1, 1, 1, 1]
    assert lines["drawn"]["artifacts"][0]["media_type"] == "image/webp"
    assert lines["edit"]["cost_usd"] > 0  # from the tokens, which the proxy passes on
    assert _KEY not in ended.err + (tmp_path / "out" / "results.jsonl").read_text()
