"""Notifications at the end of a run: a shell command and a webhook, both with summary.json.

Both have a short timeout, and a failure does not change how the run ended.
"""

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from http.client import HTTPException
from urllib.parse import urlsplit

from tenacity import Retrying, retry_if_result, stop_after_attempt, wait_exponential

from batchgen._version import __version__
from batchgen.errors import UsageError
from batchgen.job import Access
from batchgen.job.providers import is_private_host
from batchgen.text import one_line

COMMAND_TIMEOUT_S = 60.0
_REQUEST_TIMEOUT_S = 10.0
_ATTEMPTS = 3
_RETRYABLE = frozenset({408, 425, 429, *range(500, 600)})
_MAX_REASON = 200  # characters


def environment_without_secrets(environment: Mapping[str, str], access: Access) -> dict[str, str]:
    """Return the environment without the variables that hold a secret of the run.

    Variables with another name and the same value are removed too. Those of proxies stay, because
    the command may need them to reach its host.
    """
    return {
        name: value
        for name, value in environment.items()
        if name.lower().endswith("_proxy")
        or not (
            name in access.secret_variables or any(secret in value for secret in access.secrets)
        )
    }


def run_command(command: str, body: bytes, environment: Mapping[str, str]) -> str | None:
    """Run a shell command with `body` on its standard input; return the problem, None on success.

    environment: all environment variables of the command. Its output goes to standard error. After
    `COMMAND_TIMEOUT_S` it is killed, with all processes that it started.
    """
    process = subprocess.Popen(  # noqa: S602  # a shell command is what the option takes
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=sys.stderr.fileno(),
        env=dict(environment),
        start_new_session=True,
    )
    try:
        process.communicate(body, timeout=COMMAND_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"--notify: the command was killed after {COMMAND_TIMEOUT_S:g} s"
    if process.returncode:
        return f"--notify: the command failed with exit code {process.returncode}"
    return None


def check_webhook(url: str) -> None:
    """Raise UsageError unless this is an https URL, or an http URL of a private host."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        valid = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:  # invalid brackets or port
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise UsageError("--webhook: not an http(s) URL such as https://host/path")
    if parts.scheme == "http" and not is_private_host(host):
        raise UsageError(f"--webhook: plain http to {host} can be read on the way; use https://")


def call_webhook(url: str, body: bytes, *, pause_s: float = 1.0) -> str | None:
    """POST `body` as JSON; return the problem without the URL (a secret), None on success.

    pause_s: wait before the second attempt, in seconds.
    """
    retrying = Retrying(
        retry=retry_if_result(lambda problem: problem is not None and problem[1]),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(pause_s),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    problem = retrying(_post, url, body)
    return None if problem is None else f"--webhook: {urlsplit(url).hostname} {problem[0]}"


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener that follows no redirect: the summary goes to the given host only."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _post(url: str, body: bytes) -> tuple[str, bool] | None:
    """POST once; return the problem and whether another attempt may help, None on success."""
    headers = {"Content-Type": "application/json", "User-Agent": f"batchgen/{__version__}"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310  # check_webhook has checked the scheme
    try:
        with _opener().open(request, timeout=_REQUEST_TIMEOUT_S):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"answered with HTTP {error.code}", error.code in _RETRYABLE
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"cannot be reached ({one_line(str(reason), _MAX_REASON)})", True
