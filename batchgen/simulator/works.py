"""Jobs that take a while: submitted once, asked for until they are done."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from batchgen.simulator.door import Asked
from batchgen.simulator.faults import Draws
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.till import Till
from batchgen.simulator.wants import Want

_KEPT = 100_000  # jobs that can be asked for; older ones are forgotten
_TEXT_CHARS = 100
_QUEUED_SHARE = 0.2  # of the time that a job takes
_DEFAULT_SECONDS = 5


class Work(msgspec.Struct):
    """A remote job: small, for thousands of them wait at once.

    identity: of its submission. ready_at: on the monotonic clock. fails: its end is an error.
    gone: it is not known any more once it is ready. polls: how often it was asked for.
    """

    id: str
    path: str
    model: str
    text: str
    seconds: int
    look: int
    began_at: float
    ready_at: float
    fails: bool
    gone: bool
    identity: str
    polls: int = 0


class Works:
    """Begins jobs and remembers the last 100,000."""

    def __init__(
        self,
        settings: SimulatorSettings,
        till: Till,
        draws: Draws,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._till = till
        self._draws = draws
        self._monotonic = monotonic
        self._works: OrderedDict[str, Work] = OrderedDict()

    def submit(self, want: Want, asked: Asked) -> tuple[Work, bool]:
        """Begin a job, or find that of the same key, and tell which. Raises Rejection."""
        receipt = self._till.pay(asked, want.model)
        work_id = _id_for(want, receipt.id)
        if receipt.again and work_id in self._works:
            return self._works[work_id], True
        now = self._monotonic()
        identity = _identity(asked)
        fate = self._draws.work(identity).fault
        work = Work(
            id=work_id,
            path=want.path,
            model=want.model,
            text=want.text[:_TEXT_CHARS],
            seconds=_seconds(want),
            look=_look(want, self._settings.seed),
            began_at=now,
            ready_at=now + self._settings.work.at(asked.share),
            fails=fate == "jobfailed"
            or any(word in want.text.lower() for word in self._settings.fail_words),
            gone=fate == "jobgone",
            identity=identity,
        )
        self._works[work_id] = work
        if len(self._works) > _KEPT:
            self._works.popitem(last=False)
        self._till.stats.submits += 1
        return work, False

    def find(self, work_id: str, path: str) -> Work | None:
        """The job of an id that was submitted at a path."""
        work = self._works.get(work_id)
        if work is None or work.path != path or (work.gone and self.share_done(work) >= 1):
            return None
        return work

    def share_done(self, work: Work) -> float:
        """How far a job is: below 0.2 it is queued, from 1 on it is done."""
        span = work.ready_at - work.began_at
        return 1.0 if span <= 0 else (self._monotonic() - work.began_at) / span

    def left_s(self, work: Work) -> float:
        """Seconds until a job is done."""
        return max(0.0, work.ready_at - self._monotonic())

    def is_queued(self, work: Work) -> bool:
        """Whether a job waits for its turn."""
        return self.share_done(work) < _QUEUED_SHARE

    def polls_by_id(self) -> dict[str, int]:
        """How often each job was asked for."""
        return {work.id: work.polls for work in self._works.values()}


def _identity(asked: Asked) -> str:
    """A short name of it, for thousands are remembered."""
    return asked.key or hashlib.blake2b(asked.raw, digest_size=16).hexdigest()


def _id_for(want: Want, receipt_id: str) -> str:
    """Ids as the vendor's samples have them: bare, numbers, or with the model behind a colon."""
    if "/minimax/" in want.path:
        return str(int(receipt_id.replace("-", "")[:12], 16))
    if want.path == "/v2/video/generations":
        return f"{receipt_id}:{want.model}"
    return receipt_id


def _seconds(want: Want) -> int:
    names = ("duration", "seconds_total", "seconds")
    given = next((want.params[name] for name in names if want.params.get(name)), None)
    milliseconds = want.params.get("music_length_ms")
    if isinstance(milliseconds, int):
        return milliseconds // 1000
    return int(given) if isinstance(given, int | float) else _DEFAULT_SECONDS


def _look(want: Want, seed: int) -> int:
    """The look that follows from a request; pictures that came along change it."""
    name = f"{seed}\n{want.model}\n{want.text}".encode("utf-8", "replace")
    look = hashlib.blake2b(name, digest_size=6)
    for value in want.params.values():
        if isinstance(value, str) and value.startswith("data:"):
            look.update(value.encode())
    return int.from_bytes(look.digest())
