"""Every moment of the write order at which a run may crash, with the state that it leaves.

`docs/crashes.md` shows this table; `test_crash_points.py` kills a run at each of them.
"""

from dataclasses import dataclass
from enum import StrEnum

from tests.torture.families import IMAGES, Delivery, Family


class Stage(StrEnum):
    """The status of a task in the ledger after a crash."""

    NOT_STARTED = "no row"
    SENT = "`sent`"
    SUBMITTED = "`submitted`"
    RECEIVED = "`received`"
    REPLIED = "`received`; `sent` if the reply held the result, `submitted` if the poll did"
    BETWEEN = "`pending`, with the finished requests"
    DONE = "`succeeded`"

    def status(self, delivery: Delivery) -> str | None:
        """Return the status in the ledger for this delivery; None without a row."""
        return _REPLIED[delivery] if self is Stage.REPLIED else _STATUSES.get(self)


_STATUSES = {
    Stage.SENT: "sent",
    Stage.SUBMITTED: "submitted",
    Stage.RECEIVED: "received",
    Stage.BETWEEN: "pending",
    Stage.DONE: "succeeded",
}
_REPLIED = {
    Delivery.REPLY: "sent",
    Delivery.JOB: "submitted",
    Delivery.URLS: "received",
    Delivery.JOB_OF_URLS: "received",
}
_ALL = frozenset(Delivery)
_WITH_URLS = frozenset({Delivery.URLS, Delivery.JOB_OF_URLS})
_JOBS = frozenset({Delivery.JOB, Delivery.JOB_OF_URLS})


@dataclass(frozen=True, slots=True)
class CrashPoint:
    """The moment before or after a call.

    name: for the table in the docs. on_disk: what the crash leaves there.
    next_run: what the next run does.
    place: `module:function` or `module:Class.method`; `commit` is the COMMIT of an outcome.
    call: the number of the last call, from 1. after: whether the process dies after that call.
    per_file: whether it is called for each file of a task. deliveries: the results that reach it.
    in_json: whether only JSON replies reach it. images: per task.
    always: whether every test run tries it with every family; else with images only.
    may_pay: whether a provider that ignores idempotency keys may charge the task again.
    """

    name: str
    stage: Stage
    on_disk: str
    next_run: str
    place: str
    call: int = 2
    after: bool = True
    per_file: bool = False
    in_json: bool = False
    deliveries: frozenset[Delivery] = _ALL
    images: int = 1
    always: bool = False
    may_pay: bool = False

    def applies_to(self, family: Family) -> bool:
        """Return whether tasks of a family reach this moment."""
        reaches = family.delivery in self.deliveries and (family.in_json or not self.in_json)
        return reaches and (self.images == 1 or family in IMAGES)

    def call_of(self, family: Family) -> int:
        """Return the number of the last call with this family.

        Remote jobs are polled in parallel, so their test has one task, and the first call is the
        last.
        """
        return 1 if family.is_job and not self._is_between_files(family) else self.call

    def row_in_flight(self, family: Family) -> int:
        """Return the position in the manifest of the task that is in flight."""
        return 0 if self._is_between_files(family) else self.call_of(family) - 1

    def _is_between_files(self, family: Family) -> bool:
        return self.per_file and self.call > 1 and family.files > 1


_SEND = "sends the request"
_AGAIN = "sends the request again with the same key"
_FETCH = "fetches the URL; sends nothing"
_EITHER = "fetches the URL, polls the job, or sends the request again, as the ledger says"
_NOTHING = "does nothing for the task"

CRASH_POINTS = (
    CrashPoint(
        "the lock is held", Stage.NOT_STARTED, "the folder and the lock file, no longer locked",
        _SEND, "batchgen.storage.ledger:Ledger.__init__", call=1, after=False,
    ),
    CrashPoint(
        "the ledger is created", Stage.NOT_STARTED, "an empty ledger", _SEND,
        "batchgen.storage.ledger:Ledger.begin_run", call=1, after=False,
    ),
    CrashPoint(
        "the run is recorded", Stage.NOT_STARTED, "a run without an end in the ledger", _SEND,
        "batchgen.storage.ledger:Ledger.begin_run", call=1,
    ),
    CrashPoint(
        "the identity is written", Stage.NOT_STARTED,
        "the file that idempotency keys derive from, not yet in the ledger",
        "adds it to the ledger; sends the request",
        "batchgen.storage.ledger.identity:_write", call=1,
    ),
    CrashPoint(
        "a task is about to be sent", Stage.NOT_STARTED, "nothing", _SEND,
        "batchgen.storage.ledger:Ledger.record_sent", after=False,
    ),
    CrashPoint(
        "the intent is committed", Stage.SENT, "the intent", _AGAIN,
        "batchgen.storage.ledger:Ledger.record_sent",
    ),
    CrashPoint(
        "the request is sent", Stage.SENT, "the intent", _AGAIN,
        "aiohttp.client_reqrep:ClientRequest.write_bytes", may_pay=True,
    ),
    CrashPoint(
        "the reply arrives", Stage.SENT, "the intent, perhaps a temporary file",
        f"deletes it; {_AGAIN}",
        "batchgen.http.payload_decoder:PayloadDecoder.feed", in_json=True, may_pay=True, call=1,
    ),
    CrashPoint(
        "the reply is complete", Stage.SENT, "the intent, perhaps a temporary file",
        f"deletes it; {_AGAIN}",
        "batchgen.http.transport:AiohttpTransport.send", always=True, may_pay=True,
    ),
    CrashPoint(
        "its remote id is committed", Stage.SUBMITTED, "the id of the provider's job",
        "polls that job; sends nothing",
        "batchgen.storage.ledger:Ledger.record_submitted", call=1, deliveries=_JOBS, always=True,
    ),
    CrashPoint(
        "the job has been polled", Stage.SUBMITTED, "the id of the provider's job",
        "polls that job; sends nothing",
        "batchgen.engine.admission:Admission.record_poll", call=1, deliveries=_JOBS, always=True,
    ),
    CrashPoint(
        "its URL is committed", Stage.RECEIVED, "the URL", _FETCH,
        "batchgen.storage.ledger:Ledger.record_received", deliveries=_WITH_URLS,
    ),
    CrashPoint(
        "a file arrives", Stage.RECEIVED, "the URL, a part of a temporary file",
        f"deletes it; {_FETCH}",
        "batchgen.storage.spool:Spool.write", deliveries=_WITH_URLS, call=1,
    ),
    CrashPoint(
        "the file is complete", Stage.RECEIVED, "the URL, a temporary file",
        f"deletes it; {_FETCH}",
        "batchgen.http.transport:AiohttpTransport.fetch", deliveries=_WITH_URLS, per_file=True,
    ),
    CrashPoint(
        "the temporary file is written", Stage.REPLIED, "the temporary file",
        f"deletes it; {_EITHER}", "batchgen.storage.artifacts:LocalStore._write", per_file=True,
        may_pay=True,
    ),
    CrashPoint(
        "the temporary file is synced to disk", Stage.REPLIED, "the temporary file",
        f"deletes it; {_EITHER}", "batchgen.storage.artifacts:_make_durable", per_file=True,
        may_pay=True,
    ),
    CrashPoint(
        "the artifact has its name", Stage.REPLIED, "the artifact with two names (an orphan)",
        f"{_EITHER}; replaces the orphan", "batchgen.storage.artifacts:LocalStore._place",
        per_file=True, may_pay=True,
    ),
    CrashPoint(
        "its folder is synced to disk", Stage.REPLIED, "the artifact with two names (an orphan)",
        f"{_EITHER}; replaces the orphan", "batchgen.storage.artifacts:LocalStore.publish",
        per_file=True, always=True, may_pay=True,
    ),
    CrashPoint(
        "one request of several is done", Stage.BETWEEN, "its artifacts, also in the ledger",
        "sends the other requests", "batchgen.storage.ledger:Ledger.record_part", call=1, images=2,
    ),
    CrashPoint(
        "the outcome is about to be committed", Stage.REPLIED,
        "the artifact with two names (an orphan)", f"{_EITHER}; replaces the orphan",
        "commit", after=False, always=True, may_pay=True,
    ),
    CrashPoint(
        "the outcome is committed", Stage.DONE, "everything; the artifact has two names",
        _NOTHING, "commit", always=True,
    ),
    CrashPoint(
        "the worker has seen the commit", Stage.DONE, "everything; the artifact has two names",
        _NOTHING, "batchgen.storage.artifacts:LocalStore.confirm", after=False,
    ),
    CrashPoint(
        "its line of `results.jsonl` is next", Stage.DONE, "everything but the line",
        "writes the line at its end",
        "batchgen.storage.results:ResultsFile.append", after=False,
    ),
    CrashPoint(
        "its line is queued", Stage.DONE, "everything, perhaps not the line",
        "writes the line at its end",
        "batchgen.storage.results:ResultsFile.append",
    ),
    CrashPoint(
        "its sidecar is next", Stage.DONE, "everything but the sidecar", "writes it at its end",
        "batchgen.storage.sidecars:Sidecars._write_files", after=False,
    ),
    CrashPoint(
        "`results.jsonl` is about to be put in order", Stage.DONE, "the lines, unordered",
        "puts them in order", "batchgen.storage.results:ResultsFile.rewrite", call=1, after=False,
    ),
    CrashPoint(
        "the end of the run is recorded", Stage.DONE, "everything but `summary.json`", "writes it",
        "batchgen.storage.ledger:Ledger.end_run", call=1,
    ),
    CrashPoint(
        "`summary.json` is written", Stage.DONE, "everything, perhaps second names", "deletes them",
        "batchgen.storage.artifacts:LocalStore.sweep", call=1, after=False,
    ),
)  # fmt: skip
