"""The terms of the project as frozen values, without I/O and clocks.

Unions are closed by `match` and `assert_never`.

Records are msgspec Structs, here and elsewhere: a frozen dataclass takes ten times as long to
create, and forty times as long to define. Records with hidden or computed fields are dataclasses.
"""

from batchgen.types.decisions import (
    STOPPING,
    Decision,
    Finished,
    Pending,
    Phase,
    Polling,
    RetrySettings,
    Rule,
    Tokens,
    Unusable,
    Verb,
)
from batchgen.types.http import (
    FaultKind,
    GeneratedPayload,
    HttpRequest,
    HttpResponse,
    NetworkFault,
    Payload,
    PayloadSink,
    RemotePayload,
    Reply,
    SinkFactory,
    Spooled,
    Timeouts,
)
from batchgen.types.manifest import (
    FAMILIES,
    Base64,
    Input,
    Json,
    LocalFile,
    Problem,
    Reference,
    Row,
    Severity,
    Task,
    UploadId,
)
from batchgen.types.outcomes import Artifact, Outcome, Prior, Record, Status, TaskError, WorkItem

__all__ = [
    "FAMILIES",
    "STOPPING",
    "Artifact",
    "Base64",
    "Decision",
    "FaultKind",
    "Finished",
    "GeneratedPayload",
    "HttpRequest",
    "HttpResponse",
    "Input",
    "Json",
    "LocalFile",
    "NetworkFault",
    "Outcome",
    "Payload",
    "PayloadSink",
    "Pending",
    "Phase",
    "Polling",
    "Prior",
    "Problem",
    "Record",
    "Reference",
    "RemotePayload",
    "Reply",
    "RetrySettings",
    "Row",
    "Rule",
    "Severity",
    "SinkFactory",
    "Spooled",
    "Status",
    "Task",
    "TaskError",
    "Timeouts",
    "Tokens",
    "Unusable",
    "UploadId",
    "Verb",
    "WorkItem",
]
