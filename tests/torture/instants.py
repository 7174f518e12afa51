"""Every instant between two steps of the write order, what it leaves, and what comes next.

`docs/crashes.md` shows this table; `test_instants.py` ends a run at each of them.
"""

from dataclasses import dataclass
from enum import StrEnum

from tests.torture.families import IMAGES, Delivery, Family


class Stage(StrEnum):
    """How far a task is: what the ledger says of it after a crash."""

    NOT_BEGUN = "no row"
    SENT = "`sent`"
    SUBMITTED = "`submitted`"
    RECEIVED = "`received`"
    REPLIED = "`received`; `sent` if the reply held the result, `submitted` if a job's answer did"
    BETWEEN = "`pending`, with what is done"
    DONE = "`succeeded`"

    def status(self, delivery: Delivery) -> str | None:
        """The ledger's word, where the result stands there."""
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
_EVERY = frozenset(Delivery)
_WITH_URLS = frozenset({Delivery.URLS, Delivery.JOB_OF_URLS})
_JOBS = frozenset({Delivery.JOB, Delivery.JOB_OF_URLS})


@dataclass(frozen=True, slots=True)
class Instant:
    """A step, and the moment before or after it.

    name: for people. left: what is on disk. next_run: what the next run does.
    place: `module:function` or `module:Class.method`; `commit` is the COMMIT of an outcome.
    turn: which call of it is the last; after the call is done, or before it has begun.
    a_file: it is called for each file of a task. of: where results stand that can come to it.
    in_json: only replies in JSON come to it.
    images: of each task. often: it is tried with every family in each run of the tests.
    may_pay: a provider that ignores idempotency keys may charge the task again.
    """

    name: str
    stage: Stage
    left: str
    next_run: str
    place: str
    turn: int = 2
    after: bool = True
    a_file: bool = False
    in_json: bool = False
    of: frozenset[Delivery] = _EVERY
    images: int = 1
    often: bool = False
    may_pay: bool = False

    def concerns(self, family: Family) -> bool:
        """Whether tasks of a family come to it."""
        fits = family.delivery in self.of and (family.in_json or not self.in_json)
        return fits and (self.images == 1 or family in IMAGES)

    def turn_of(self, family: Family) -> int:
        """The turn with a family: of several files the second is the last.

        Jobs are waited for at the same time, so that there is one of them, which comes first.
        """
        return 1 if family.is_job and not self._is_between_files(family) else self.turn

    def struck(self, family: Family) -> int:
        """The place in the manifest of the task that is under way then."""
        return 0 if self._is_between_files(family) else self.turn_of(family) - 1

    def _is_between_files(self, family: Family) -> bool:
        return self.a_file and self.turn > 1 and family.files > 1


_SEND = "sends the request"
_AGAIN = "sends it again, under the same key"
_FETCH = "fetches the URL; sends nothing"
_EITHER = "fetches the URL, asks for the job, or sends it again, as the ledger says"
_NOTHING = "does nothing for it"

INSTANTS = (
    Instant(
        "the lock is held", Stage.NOT_BEGUN, "the folder and the lock file, no longer locked",
        _SEND, "batchgen.storage.ledger:Ledger.__init__", turn=1, after=False,
    ),
    Instant(
        "the ledger is made", Stage.NOT_BEGUN, "an empty ledger", _SEND,
        "batchgen.storage.ledger:Ledger.begin_run", turn=1, after=False,
    ),
    Instant(
        "the run is noted", Stage.NOT_BEGUN, "a run without an end in the ledger", _SEND,
        "batchgen.storage.ledger:Ledger.begin_run", turn=1,
    ),
    Instant(
        "the identity is written", Stage.NOT_BEGUN,
        "the file that idempotency keys derive from, not yet in the ledger",
        "adds it to the ledger; sends the request",
        "batchgen.storage.ledger.identity:write_atomically", turn=1,
    ),
    Instant(
        "the task's turn has come", Stage.NOT_BEGUN, "nothing", _SEND,
        "batchgen.storage.ledger:Ledger.record_sent", after=False,
    ),
    Instant(
        "the intent is committed", Stage.SENT, "the intent", _AGAIN,
        "batchgen.storage.ledger:Ledger.record_sent",
    ),
    Instant(
        "the request has left", Stage.SENT, "the intent", _AGAIN,
        "aiohttp.client_reqrep:ClientRequest.write_bytes", may_pay=True,
    ),
    Instant(
        "the reply arrives", Stage.SENT, "the intent, perhaps a temporary file",
        f"deletes it; {_AGAIN}",
        "batchgen.http.payload_decoder:PayloadDecoder.feed", in_json=True, may_pay=True, turn=1,
    ),
    Instant(
        "the reply is there", Stage.SENT, "the intent, perhaps a temporary file",
        f"deletes it; {_AGAIN}",
        "batchgen.http.transport:AiohttpTransport.send", often=True, may_pay=True,
    ),
    Instant(
        "its remote id is committed", Stage.SUBMITTED, "the id of the provider's job",
        "asks for that job; sends nothing",
        "batchgen.storage.ledger:Ledger.record_submitted", turn=1, of=_JOBS, often=True,
    ),
    Instant(
        "it has been asked for", Stage.SUBMITTED, "the id of the provider's job",
        "asks for that job; sends nothing",
        "batchgen.engine.admission:Admission.record_poll", turn=1, of=_JOBS, often=True,
    ),
    Instant(
        "its URL is committed", Stage.RECEIVED, "the URL", _FETCH,
        "batchgen.storage.ledger:Ledger.record_received", of=_WITH_URLS,
    ),
    Instant(
        "a file arrives", Stage.RECEIVED, "the URL, a part of a temporary file",
        f"deletes it; {_FETCH}",
        "batchgen.storage.spool:Spool.write", of=_WITH_URLS, turn=1,
    ),
    Instant(
        "the file is there", Stage.RECEIVED, "the URL, a temporary file",
        f"deletes it; {_FETCH}",
        "batchgen.http.transport:AiohttpTransport.fetch", of=_WITH_URLS, a_file=True,
    ),
    Instant(
        "the temporary file is written", Stage.REPLIED, "the temporary file",
        f"deletes it; {_EITHER}", "batchgen.storage.artifacts:_write", a_file=True,
        may_pay=True,
    ),
    Instant(
        "the temporary file is on the disk", Stage.REPLIED, "the temporary file",
        f"deletes it; {_EITHER}", "batchgen.storage.artifacts:_make_durable", a_file=True,
        may_pay=True,
    ),
    Instant(
        "the artifact has its name", Stage.REPLIED, "the artifact with two names (an orphan)",
        f"{_EITHER}; replaces the orphan", "batchgen.storage.artifacts:LocalStore._place",
        a_file=True, may_pay=True,
    ),
    Instant(
        "its folder is on the disk", Stage.REPLIED, "the artifact with two names (an orphan)",
        f"{_EITHER}; replaces the orphan", "batchgen.storage.artifacts:LocalStore.publish",
        a_file=True, often=True, may_pay=True,
    ),
    Instant(
        "one request of several is done", Stage.BETWEEN, "its artifacts, in the ledger too",
        "sends the other requests", "batchgen.storage.ledger:Ledger.record_part", turn=1, images=2,
    ),
    Instant(
        "the outcome is about to be committed", Stage.REPLIED,
        "the artifact with two names (an orphan)", f"{_EITHER}; replaces the orphan",
        "commit", after=False, often=True, may_pay=True,
    ),
    Instant(
        "the outcome is committed", Stage.DONE, "everything; the artifact has two names",
        _NOTHING, "commit", often=True,
    ),
    Instant(
        "the worker knows of the commit", Stage.DONE, "everything; the artifact has two names",
        _NOTHING, "batchgen.storage.artifacts:LocalStore.confirm", after=False,
    ),
    Instant(
        "its line of `results.jsonl` is next", Stage.DONE, "everything but the line",
        "writes the line when it ends",
        "batchgen.storage.results:ResultsFile.append", after=False,
    ),
    Instant(
        "its line is given to be written", Stage.DONE, "everything, perhaps without the line",
        "writes the line when it ends",
        "batchgen.storage.results:ResultsFile.append",
    ),
    Instant(
        "its sidecar is next", Stage.DONE, "everything but the sidecar", "writes it when it ends",
        "batchgen.storage.sidecars:Sidecars._make", after=False,
    ),
    Instant(
        "`results.jsonl` is about to be put in order", Stage.DONE, "the lines, unordered",
        "puts them in order", "batchgen.storage.results:ResultsFile.rewrite", turn=1, after=False,
    ),
    Instant(
        "the run's end is noted", Stage.DONE, "everything but `summary.json`", "writes it",
        "batchgen.storage.ledger:Ledger.end_run", turn=1,
    ),
    Instant(
        "`summary.json` is written", Stage.DONE, "everything, perhaps second names", "deletes them",
        "batchgen.storage.artifacts:LocalStore.sweep", turn=1, after=False,
    ),
)  # fmt: skip
