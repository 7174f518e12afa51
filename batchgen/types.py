"""The glossary as frozen values.

Every value here is data: no I/O, no clocks. Unions are closed by `match` and `assert_never`.
Records are Structs, here and elsewhere: a frozen dataclass takes ten times as long to make, and
forty times as long to define. What hides or works out fields is a dataclass still.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol, TypeAlias

import msgspec

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"


# The API families, in the order in which messages list them; each has an adapter.
FAMILIES = (
    "images", "edits", "video", "music", "tts", "stt", "3d", "ocr", "embeddings", "chat",
    "moderation",
)  # fmt: skip


class Severity(StrEnum):
    """How much a problem weighs: an error forbids the run, a warning is only told."""

    ERROR = "error"
    WARNING = "warning"


class Problem(msgspec.Struct, frozen=True):
    """Something wrong in a job or manifest; `line` counts from 1, 0 when none applies."""

    file: str
    line: int
    message: str
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        label = "warning: " if self.severity is Severity.WARNING else ""
        return f"{where}: {label}{self.message}"


class Row(msgspec.Struct, frozen=True):
    """One raw mapping of a manifest with its file and line (of the row's first character).

    `textual` rows come from CSV, TSV and TXT: every value is a string and takes the type that
    the model's parameter of that name has.
    """

    file: str
    line: int
    fields: Mapping[str, Json]
    textual: bool = False


class LocalFile(msgspec.Struct, frozen=True):
    """A file of this machine that a request sends along.

    path: with links resolved. name: as the row has it. media_type: as its bytes tell.
    sha256: of the bytes that were looked at, which are the only ones that may be sent.
    remedy: what to do where its bytes are others now.
    """

    path: Path
    name: str
    size_bytes: int
    sha256: str
    media_type: str
    remedy: str = "run again to have it looked at anew"


class Base64(msgspec.Struct, frozen=True):
    """A file that a JSON body has as bare base64, without the `data:` that tells its type."""

    file: LocalFile


class Awaited(msgspec.Struct, frozen=True):
    """A text that an earlier request of the same task brings: the id of an upload."""

    name: str


class Reference(msgspec.Struct, frozen=True):
    """A place in a request where an artifact of another task goes: `{from: ID, n: N}`.

    source: the other task's id. n: which of its artifacts, from 1.
    families, media: kinds and types of file that may stand there; empty where any may.
    max_bytes: of the file; None where nothing is known.
    """

    source: str
    n: int = 1
    families: tuple[str, ...] = ()
    media: tuple[str, ...] = ()
    max_bytes: int | None = None


Input: TypeAlias = (
    "Json | LocalFile | Base64 | Awaited | Reference | Mapping[str, Input] | tuple[Input, ...]"
)


class Task(msgspec.Struct, frozen=True):
    """A checked row (one of its copies) with a stable key.

    key: 32 hex digits, from the id or else from the request and its occurrence number.
    digest: 32 hex digits over the resolved request; a change under one key is an edited row.
    filename: path below the output directory with `{n}` and `{ext}` still open.
    params: the request's fields besides `model` and `prompt`; a file is told by its path.
    inputs: those of the parameters that name files, with the files in their places; and with
        references in the places of files that other tasks have yet to make.
    """

    key: str
    digest: str
    id: str
    ordinal: int
    file: str
    line: int
    endpoint: str
    model: str
    prompt: str
    params: Mapping[str, Json]
    vars: Mapping[str, Json]
    filename: str
    inputs: Mapping[str, Input] = {}


class HttpRequest(msgspec.Struct, frozen=True):
    """What an endpoint wants sent: a path below the provider's host, and the body's fields.

    body: files stand in it as they are, or deeper inside in tuples and mappings.
    multipart: the body is a form, with files as they are; else it is JSON, with files as `data:`
        URLs.
    waiting: the path under which the server answers only when there is news, or half a minute
        later; empty where it has none.
    brings: ids that the reply has to bring, for the requests of the task that come after it.
    is_long: the reply may be tens of megabytes of JSON: vectors, transcripts, digits.
    """

    method: str
    path: str
    body: Mapping[str, Input]
    multipart: bool = False
    waiting: str = ""
    brings: tuple[str, ...] = ()
    is_long: bool = False


class Spooled(msgspec.Struct, frozen=True):
    """A payload that has arrived whole: in memory if it is small, else in a temporary file.

    path: of the temporary file of the output directory, made when it is published if not before.
    sha256: empty for bytes in memory, which are hashed when they are published.
    head: the first bytes (at most 4096), enough to tell the type.
    data: all bytes, where they are in memory.
    media_type: what the provider calls it, which counts where the bytes tell nothing.
    """

    path: str
    size_bytes: int
    sha256: str
    head: bytes
    data: bytes | None = None
    media_type: str = ""


class Remote(msgspec.Struct, frozen=True):
    """A payload to be fetched; the URL's query string is never re-encoded."""

    url: str


class Made(msgspec.Struct, frozen=True):
    """A payload made from the reply itself: a text, a vector. media_type: empty if bytes tell."""

    data: bytes
    media_type: str = ""


Payload: TypeAlias = Spooled | Remote | Made


class HttpResponse(msgspec.Struct, frozen=True):
    """A reply whose large payloads were taken out while it arrived.

    headers: names in lower case.
    body: the bytes that are left. Where a base64 string stood (or a `data:` URL), the JSON holds
        the string `batchgen-payload:N`, N being the index into `payloads`.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    payloads: tuple[Spooled, ...] = ()


class FaultKind(StrEnum):
    """Why no usable reply came."""

    TIMEOUT = "timeout"
    CONNECTION = "connection"
    BAD_RESPONSE = "bad_response"
    UNSAFE_URL = "unsafe_url"  # a reply pointed to where nothing may be fetched from
    INPUT_FILE = "input_file"  # a file to be sent is gone, or is not the one that was looked at


class NetworkFault(msgspec.Struct, frozen=True):
    """No complete reply. `sent` tells that the request may have reached the provider."""

    kind: FaultKind
    message: str
    sent: bool


Reply: TypeAlias = HttpResponse | NetworkFault


class Tokens(msgspec.Struct, frozen=True):
    """What a provider that charges by tokens counted: of the texts, of the pictures, drawn."""

    text_input: int
    image_input: int
    output: int


class Finished(msgspec.Struct, frozen=True):
    """A usable reply: where the payloads are, and what the provider told about them.

    uploads: the ids that an upload brought, by their names; such a reply has no payloads.
    """

    payloads: tuple[Payload, ...]
    revised_prompt: str | None = None
    seed: int | None = None
    cost_usd: float | None = None
    tokens: Tokens | None = None
    uploads: tuple[tuple[str, str], ...] = ()


class Pending(msgspec.Struct, frozen=True):
    """The provider works on it: it is asked again under `remote_id`."""

    remote_id: str


class Polling(msgspec.Struct, frozen=True):
    """When the provider is asked how a remote job stands, in seconds.

    first_s: after it was submitted. interval_s: between two questions. deadline_s: in all.
    """

    first_s: float
    interval_s: float
    deadline_s: float


class Unusable(msgspec.Struct, frozen=True):
    """A 2xx reply without a result.

    kind: `bad_response`, `content_policy` or `remote_failed`.
    """

    kind: str
    message: str
    code: str | None = None


class Phase(StrEnum):
    """Which kind of exchange an attempt belongs to."""

    SUBMIT = "submit"
    POLL = "poll"
    DOWNLOAD = "download"


STOPPING = "stopping"  # the kind of a Decision that was made because the run is ending


class Verb(StrEnum):
    """What an attempt means for its task."""

    ACCEPT = "accept"
    RETRY = "retry"
    FAIL = "fail"
    REFUSE = "refuse"
    HALT = "halt"


class Decision(msgspec.Struct, frozen=True):
    """What an attempt means, and why.

    kind: the word of the decision table (`rate_limited`, `auth`, ...); empty when accepted.
    code, message: the provider's own, for the results manifest.
    after_s: seconds that the provider asked to wait; None leaves it to the back-off.
    hold: the wait is meant for every worker of the model.
    attempts: a bound of attempts of this rule's own, below the job's.
    sent: the request may have been carried out although no usable reply came.
    """

    verb: Verb
    kind: str = ""
    code: str | None = None
    message: str = ""
    http_status: int | None = None
    request_id: str | None = None
    after_s: float | None = None
    hold: bool = False
    attempts: int | None = None
    sent: bool = False
    result: Finished | Pending | None = None


class Rule(msgspec.Struct, frozen=True):
    """A line of the decision table: all that is given must match; the first match wins.

    statuses: HTTP statuses; faults: kinds of network fault. A rule with neither matches every
        reply that is not accepted.
    code: the provider's code, compared without regard to case, `*` and `?` as in file names.
    text: words to be found in the provider's code or message, any of them, without regard to case.
    model: the model's id, `*` and `?` as in file names.
    hold: the wait is meant for every worker of the model.
    after_s: seconds to wait where the provider asks for none; None leaves it to the back-off.
    attempts: a bound of attempts below the job's.
    """

    verb: Verb
    kind: str
    statuses: frozenset[int] | None = None
    faults: frozenset[FaultKind] | None = None
    code: str | None = None
    text: tuple[str, ...] = ()
    model: str | None = None
    phases: frozenset[Phase] | None = None
    hold: bool = False
    after_s: float | None = None
    attempts: int | None = None


class RetrySettings(msgspec.Struct, frozen=True):
    """How often and how patiently an exchange is tried; `rules` go before the built-in table.

    max_wait_s: the longest `Retry-After` that is believed.
    """

    attempts: int = 6
    initial_s: float = 1.0
    max_s: float = 60.0
    jitter: bool = True
    max_wait_s: float = 3600.0
    rules: tuple[Rule, ...] = ()


class Artifact(msgspec.Struct, frozen=True):
    """A stored file; `path` is relative to the output directory, with forward slashes."""

    path: str
    size_bytes: int
    sha256: str
    media_type: str
    width: int | None
    height: int | None


class Status(StrEnum):
    """Where a task stands.

    The first three are on the way and live in the ledger only; the others are outcomes.
    """

    SENT = "sent"  # an intent is committed; the request may be under way
    SUBMITTED = "submitted"  # the remote id is committed; the provider works on it
    RECEIVED = "received"  # the result's URLs are committed; the download may be under way
    PENDING = "pending"  # nothing of it is under way
    SUCCEEDED = "succeeded"
    FAILED = "failed"  # will not succeed as it is, or attempts used up
    REFUSED = "refused"  # the provider's content rules
    UNKNOWN = "unknown"  # sent, and no way to learn what came of it
    SKIPPED = "skipped"  # nothing was sent: a task whose artifact it needs did not succeed


class TaskError(msgspec.Struct, frozen=True):
    """Why a task did not succeed: our kind, the provider's code, a message for a person."""

    kind: str
    code: str | None
    message: str


class Outcome(msgspec.Struct, frozen=True):
    """The state of a task when its worker lets go of it.

    attempts: requests sent for this generation of the task, over all runs.
    cost_usd: None where the provider told nothing and no price is known.
    uploads: the ids that an upload brought; only of a part of a task.
    """

    status: Status
    artifacts: tuple[Artifact, ...] = ()
    error: TaskError | None = None
    attempts: int = 0
    http_status: int | None = None
    request_id: str | None = None
    revised_prompt: str | None = None
    seed: int | None = None
    cost_usd: float | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    duration_s: float | None = None
    uploads: tuple[tuple[str, str], ...] = ()


class Prior(msgspec.Struct, frozen=True):
    """What the ledger knew of a task before this run took it up.

    generation: counts deliberate generations of the task, from 1.
    attempts: requests sent so far for this generation.
    received: the reply whose URLs are committed and not yet stored.
    error_kind: why it failed, where it did.
    parts: what the requests of a task that takes several have brought so far, in their order.
    """

    status: Status
    digest: str
    generation: int
    attempts: int
    error_kind: str | None = None
    remote_id: str | None = None
    received: Finished | None = None
    parts: tuple[Outcome, ...] = ()


class Work(msgspec.Struct, frozen=True):
    """A task that a run has to do something about; `prior` is None for a task never begun.

    generation: the generation to be made; the idempotency key follows from it.
    ended: what it comes to where nothing can be sent for it; pending leaves it to a later run.
    """

    task: Task
    generation: int
    prior: Prior | None = None
    ended: Outcome | None = None


class Record(msgspec.Struct, frozen=True):
    """A task with its outcome, as the ledger holds it and the results manifest shows it."""

    task: Task
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Timeouts of the parts of a request, in seconds.

    connect: until there is a connection. first_byte: from the request to the beginning of its
    reply; None is the timeout of the whole. stall: between two pieces of a reply.
    """

    connect_s: float = 30.0
    first_byte_s: float | None = None
    stall_s: float = 60.0


class PayloadSink(Protocol):
    """Where the bytes of one payload go while they arrive.

    discard removes what was written, closed or not, and is harmless when repeated.
    """

    def write(self, data: bytes) -> None: ...
    def close(self) -> Spooled: ...
    def discard(self) -> None: ...


SinkFactory: TypeAlias = Callable[[], PayloadSink]
