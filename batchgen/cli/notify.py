"""Word of a run that has ended: a command is run, a URL is called, both with summary.json.

Neither is waited for long, and what becomes of them changes nothing about the run.
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
from batchgen.job.providers import is_private_host
from batchgen.text import one_line

COMMAND_S = 60.0
_CALL_S = 10.0
_ATTEMPTS = 3
_AGAIN = frozenset({408, 425, 429, *range(500, 600)})
_SHOWN = 200


def run_notice(command: str, body: bytes, told: Mapping[str, str]) -> str | None:
    """Run a shell command with `body` on its standard input; what went wrong, if anything did.

    told: environment variables that it gets besides those of this process. What it prints goes to
    standard error. After `COMMAND_S` it is ended, with all that it has started.
    """
    process = subprocess.Popen(  # noqa: S602  # a shell command is what the option takes
        command,
        shell=True,
        stdin=subprocess.PIPE,
        stdout=sys.stderr.fileno(),
        env={**os.environ, **told},
        start_new_session=True,
    )
    try:
        process.communicate(body, timeout=COMMAND_S)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"--notify: the command was ended after {COMMAND_S:g} s"
    if process.returncode:
        return f"--notify: the command ended with {process.returncode}"
    return None


def check_webhook(url: str) -> None:
    """Raise UsageError for a URL that is none, or that would be called unprotected."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        sound = parts.scheme in ("http", "https") and host and parts.port != 0
    except ValueError:  # brackets and ports that are none
        sound = False
    if not sound or any(character.isspace() for character in url):
        raise UsageError("--webhook: this is no http(s) URL such as https://host/path")
    if parts.scheme == "http" and not is_private_host(host):
        raise UsageError(
            f"--webhook: plain http to {host} would be read by others on the way; https:// is right"
        )


def call_webhook(url: str, body: bytes, *, pause_s: float = 1.0) -> str | None:
    """POST `body` as JSON; what went wrong, if anything did. The URL, which may be a secret, is
    not told.

    pause_s: the first wait before another attempt.
    """
    calling = Retrying(
        retry=retry_if_result(lambda problem: problem is not None and problem[1]),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(pause_s),
        retry_error_callback=lambda state: state.outcome and state.outcome.result(),
    )
    problem = calling(_call, url, body)
    return None if problem is None else f"--webhook: {urlsplit(url).hostname} {problem[0]}"


def _opener() -> urllib.request.OpenerDirector:
    """One that takes a redirect for the answer: the summary goes where it was meant to go."""
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


def _call(url: str, body: bytes) -> tuple[str, bool] | None:
    """What went wrong, and whether another attempt may help."""
    headers = {"Content-Type": "application/json", "User-Agent": f"batchgen/{__version__}"}
    request = urllib.request.Request(url, body, headers)  # noqa: S310  # check_webhook was here
    try:
        with _opener().open(request, timeout=_CALL_S):
            return None
    except urllib.error.HTTPError as error:
        error.close()
        return f"answered with HTTP {error.code}", error.code in _AGAIN
    except (OSError, HTTPException, ValueError) as error:
        reason = getattr(error, "reason", error)
        return f"cannot be reached ({one_line(str(reason), _SHOWN)})", True
