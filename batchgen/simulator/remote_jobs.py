"""Remote jobs: submitted once, polled until they are done."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from batchgen.simulator.billing import Billing
from batchgen.simulator.digests import number_of
from batchgen.simulator.fault_draws import FaultDraws
from batchgen.simulator.middleware import PaidRequest
from batchgen.simulator.requests.family_request import FamilyRequest
from batchgen.simulator.settings import SimulatorSettings

_MAX_JOBS = 100_000  # that can be polled; older ones are dropped
_TEXT_CHARS = 100
_QUEUED_SHARE = 0.2  # of the duration of a job
_DEFAULT_SECONDS = 5
_FAILING_WORD = "failing-word"  # a job fails if its prompt has it


class RemoteJob(msgspec.Struct):
    """A remote job; small, because there are thousands.

    seconds: length of the video or sound. look: of its file. started_at, ready_at: on the monotonic
    clock. fails: it ends in an error. gone: it is unknown once it is ready. identity: of its
    submission, for the faults of its polls. polls: how often it was polled.
    """

    id: str
    path: str
    model: str
    text: str
    seconds: int
    look: int
    started_at: float
    ready_at: float
    fails: bool
    gone: bool
    identity: str
    polls: int = 0


class RemoteJobs:
    """Starts remote jobs and keeps the last 100,000."""

    def __init__(
        self,
        settings: SimulatorSettings,
        billing: Billing,
        draws: FaultDraws,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._billing = billing
        self._draws = draws
        self._monotonic = monotonic
        self._jobs: OrderedDict[str, RemoteJob] = OrderedDict()

    def submit(self, request: FamilyRequest, paid: PaidRequest) -> tuple[RemoteJob, bool]:
        """Return the job of a request, and whether it is an earlier one of the same key.

        Raise Rejection if it cannot be charged.
        """
        receipt = self._billing.pay(paid, request.model)
        job_id = _id_for(request, receipt.id)
        if receipt.again and job_id in self._jobs:
            return self._jobs[job_id], True
        now = self._monotonic()
        # Thousands are kept, so a body is shortened.
        identity = paid.key or hashlib.blake2b(paid.body, digest_size=16).hexdigest()
        fault = self._draws.job(identity).fault
        job = RemoteJob(
            id=job_id,
            path=request.path,
            model=request.model,
            text=request.text[:_TEXT_CHARS],
            seconds=_seconds(request),
            look=_look(request, self._settings.seed),
            started_at=now,
            ready_at=now + self._settings.job_duration.at(paid.share),
            fails=fault == "jobfailed" or _FAILING_WORD in request.text.lower(),
            gone=fault == "jobgone",
            identity=identity,
        )
        self._jobs[job_id] = job
        if len(self._jobs) > _MAX_JOBS:
            self._jobs.popitem(last=False)
        self._billing.stats.submits += 1
        return job, False

    def find(self, job_id: str, path: str) -> RemoteJob | None:
        """Return the job of an id that was submitted at a path, or None."""
        job = self._jobs.get(job_id)
        if job is None or job.path != path or (job.gone and self.is_done(job)):
            return None
        return job

    def is_queued(self, job: RemoteJob) -> bool:
        """Return whether a job is in the first fifth of its time."""
        elapsed_s = self._monotonic() - job.started_at
        return elapsed_s < _QUEUED_SHARE * (job.ready_at - job.started_at)

    def is_done(self, job: RemoteJob) -> bool:
        """Return whether a job is done."""
        return self._monotonic() >= job.ready_at

    def left_s(self, job: RemoteJob) -> float:
        """Return the seconds until a job is done."""
        return max(0.0, job.ready_at - self._monotonic())

    def polls_by_id(self) -> dict[str, int]:
        """Return the number of polls of every job."""
        return {job.id: job.polls for job in self._jobs.values()}


def _id_for(request: FamilyRequest, receipt_id: str) -> str:
    """Return an id like the vendor's: plain, a number, or followed by `:` and the model."""
    if "/minimax/" in request.path:
        return str(int(receipt_id.replace("-", "")[:12], 16))
    if request.path == "/v2/video/generations":
        return f"{receipt_id}:{request.model}"
    return receipt_id


def _seconds(request: FamilyRequest) -> int:
    milliseconds = request.params.get("music_length_ms")
    if isinstance(milliseconds, int):
        return milliseconds // 1000
    names = ("duration", "seconds_total", "seconds")
    seconds = next((request.params[name] for name in names if request.params.get(name)), None)
    return int(seconds) if isinstance(seconds, int | float) else _DEFAULT_SECONDS


def _look(request: FamilyRequest, seed: int) -> int:
    """Return a number that the request determines, with its inline images."""
    values = (value for value in request.params.values() if isinstance(value, str))
    inline = "".join(value for value in values if value.startswith("data:"))
    return number_of(f"{seed}\n{request.model}\n{request.text}{inline}")
