"""Remote jobs: submitted once, polled until they are done."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from batchgen.simulator.billing import Billing
from batchgen.simulator.fault_draws import Draws
from batchgen.simulator.middleware import Asked
from batchgen.simulator.requests.family_request import FamilyRequest
from batchgen.simulator.settings import SimulatorSettings

_KEPT = 100_000  # jobs that can be polled; older ones are dropped
_TEXT_CHARS = 100
_QUEUED_SHARE = 0.2  # of the duration of a job
_DEFAULT_SECONDS = 5


class Job(msgspec.Struct):
    """A remote job; small, because thousands wait at once.

    identity: of its submission. ready_at: on the monotonic clock. fails: it ends in an error.
    gone: it is unknown once it is ready. polls: how often it was polled.
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
    """Starts jobs and keeps the last 100,000."""

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
        """Start a job, or find that of the same key.

        Return the job and whether it was found. Raise Rejection if it cannot be charged.
        """
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
        """Return the job of an id that was submitted at a path, or None."""
        job = self._jobs.get(job_id)
        if job is None or job.path != path or (job.gone and self.share_done(job) >= 1):
            return None
        return job

    def share_done(self, job: Job) -> float:
        """Return the progress of a job: queued below 0.2, done from 1."""
        span = job.ready_at - job.began_at
        return 1.0 if span <= 0 else (self._monotonic() - job.began_at) / span

    def left_s(self, job: Job) -> float:
        """Return the seconds until a job is done."""
        return max(0.0, job.ready_at - self._monotonic())

    def is_queued(self, job: Job) -> bool:
        """Return whether a job is still queued."""
        return self.share_done(job) < _QUEUED_SHARE

    def polls_by_id(self) -> dict[str, int]:
        """Return the number of polls per job."""
        return {job.id: job.polls for job in self._jobs.values()}


def _identity(asked: Asked) -> str:
    """Return a short identity, because thousands are kept."""
    return asked.key or hashlib.blake2b(asked.raw, digest_size=16).hexdigest()


def _id_for(request: FamilyRequest, receipt_id: str) -> str:
    """Return an id like the vendor's: plain, a number, or followed by `:` and the model."""
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
    """Return a number that the request determines, with its inline images."""
    name = f"{seed}\n{request.model}\n{request.text}".encode("utf-8", "replace")
    look = hashlib.blake2b(name, digest_size=6)
    for value in request.params.values():
        if isinstance(value, str) and value.startswith("data:"):
            look.update(value.encode())
    return int.from_bytes(look.digest())
