"""Jobs that take a while: submitted once, asked for until they are done."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from batchgen.simulator.door import Asked
from batchgen.simulator.faults import Draws
from batchgen.simulator.settings import SimulatorSettings
from batchgen.simulator.till import Billing
from batchgen.simulator.wants import FamilyRequest

_KEPT = 100_000  # jobs that can be asked for; older ones are forgotten
_TEXT_CHARS = 100
_QUEUED_SHARE = 0.2  # of the time that a job takes
_DEFAULT_SECONDS = 5


class Job(msgspec.Struct):
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


class Jobs:
    """Begins jobs and remembers the last 100,000."""

    def __init__(
        self,
        settings: SimulatorSettings,
        billing: Billing,
        draws: Draws,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._billing = billing
        self._draws = draws
        self._monotonic = monotonic
        self._jobs: OrderedDict[str, Job] = OrderedDict()

    def submit(self, request: FamilyRequest, asked: Asked) -> tuple[Job, bool]:
        """Begin a job, or find that of the same key, and tell which. Raises Rejection."""
        receipt = self._billing.pay(asked, request.model)
        job_id = _id_for(request, receipt.id)
        if receipt.again and job_id in self._jobs:
            return self._jobs[job_id], True
        now = self._monotonic()
        identity = _identity(asked)
        fate = self._draws.job(identity).fault
        job = Job(
            id=job_id,
            path=request.path,
            model=request.model,
            text=request.text[:_TEXT_CHARS],
            seconds=_seconds(request),
            look=_look(request, self._settings.seed),
            began_at=now,
            ready_at=now + self._settings.work.at(asked.share),
            fails=fate == "jobfailed"
            or any(word in request.text.lower() for word in self._settings.fail_words),
            gone=fate == "jobgone",
            identity=identity,
        )
        self._jobs[job_id] = job
        if len(self._jobs) > _KEPT:
            self._jobs.popitem(last=False)
        self._billing.stats.submits += 1
        return job, False

    def find(self, job_id: str, path: str) -> Job | None:
        """The job of an id that was submitted at a path."""
        job = self._jobs.get(job_id)
        if job is None or job.path != path or (job.gone and self.share_done(job) >= 1):
            return None
        return job

    def share_done(self, job: Job) -> float:
        """How far a job is: below 0.2 it is queued, from 1 on it is done."""
        span = job.ready_at - job.began_at
        return 1.0 if span <= 0 else (self._monotonic() - job.began_at) / span

    def left_s(self, job: Job) -> float:
        """Seconds until a job is done."""
        return max(0.0, job.ready_at - self._monotonic())

    def is_queued(self, job: Job) -> bool:
        """Whether a job waits for its turn."""
        return self.share_done(job) < _QUEUED_SHARE

    def polls_by_id(self) -> dict[str, int]:
        """How often each job was asked for."""
        return {job.id: job.polls for job in self._jobs.values()}


def _identity(asked: Asked) -> str:
    """A short name of it, for thousands are remembered."""
    return asked.key or hashlib.blake2b(asked.raw, digest_size=16).hexdigest()


def _id_for(request: FamilyRequest, receipt_id: str) -> str:
    """Ids as the vendor's samples have them: bare, numbers, or with the model behind a colon."""
    if "/minimax/" in request.path:
        return str(int(receipt_id.replace("-", "")[:12], 16))
    if request.path == "/v2/video/generations":
        return f"{receipt_id}:{request.model}"
    return receipt_id


def _seconds(request: FamilyRequest) -> int:
    names = ("duration", "seconds_total", "seconds")
    given = next((request.params[name] for name in names if request.params.get(name)), None)
    milliseconds = request.params.get("music_length_ms")
    if isinstance(milliseconds, int):
        return milliseconds // 1000
    return int(given) if isinstance(given, int | float) else _DEFAULT_SECONDS


def _look(request: FamilyRequest, seed: int) -> int:
    """The look that follows from a request; pictures that came along change it."""
    name = f"{seed}\n{request.model}\n{request.text}".encode("utf-8", "replace")
    look = hashlib.blake2b(name, digest_size=6)
    for value in request.params.values():
        if isinstance(value, str) and value.startswith("data:"):
            look.update(value.encode())
    return int.from_bytes(look.digest())
