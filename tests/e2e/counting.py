"""A provider of images on loopback that counts what it is asked for, and can hold its replies."""

import threading
from base64 import b64encode
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.command import COMMAND, Ended, batchgen
from tests.given import a_png
from tests.loopback import Reply, Request, serving

_KEY = {"AIMLAPI_API_KEY": "sk-canary-4410"}
_TIMEOUT_S = 60.0


class CountingProvider:
    """billed: the number of requests by prompt; idempotency keys are ignored.

    free: how many requests are answered at once; the others wait for `release`.
    """

    def __init__(self, free: int) -> None:
        self.billed: Counter[str] = Counter()
        self.base_url = ""
        self._free = free
        self._changed = threading.Condition()
        self._released = threading.Event()

    @property
    def requests(self) -> int:
        return self.billed.total()

    @property
    def twice(self) -> list[str]:
        """The prompts that were billed more than once."""
        return [prompt for prompt, count in self.billed.items() if count > 1]

    def release(self) -> None:
        """Answer all requests, also those that wait."""
        self._released.set()

    def until_billed(self, count: int) -> None:
        """Wait until this many requests have arrived."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.requests >= count, _TIMEOUT_S)

    def reply(self, request: Request) -> Reply:
        if request.method == "GET":
            return Reply(200, {"data": []})
        prompt = request.json["prompt"]
        with self._changed:
            self.billed[prompt] += 1
            waits = self.requests > self._free
            self._changed.notify_all()
        if waits:
            self._released.wait(_TIMEOUT_S)
        image = a_png(pixel=prompt.encode()[-1:])
        return Reply(200, {"data": [{"b64_json": b64encode(image).decode()}]})

    def run(self, *words: str | Path, cwd: Path, **extra: str) -> Ended:
        """Run `batchgen run WORDS` with this provider to its end."""
        return batchgen("run", *words, *self.flags, cwd=cwd, **{**_KEY, **extra})

    @property
    def flags(self) -> Sequence[str]:
        return ("--base-url", self.base_url, "--no-progress")

    def command(self, *words: str) -> list[str]:
        """Return the words of `batchgen run WORDS` with this provider."""
        return [str(COMMAND), "run", *words, *self.flags]


KEY = _KEY


@contextmanager
def counting(free: int = 1_000_000) -> Iterator[CountingProvider]:
    """Serve a provider until the block ends."""
    provider = CountingProvider(free)

    with serving(provider.reply) as provider.base_url:
        try:
            yield provider
        finally:
            provider.release()


def write_rows(folder: Path, count: int, *, name: str = "rows.csv") -> None:
    """Write a manifest with rows t0, t1, ..."""
    rows = "".join(f"t{n},prompt {n},dall-e-2\n" for n in range(count))
    (folder / name).write_text(f"id,prompt,model\n{rows}")
