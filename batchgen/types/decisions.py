"""The meaning of a reply: results, decisions, and the rules for them."""

from enum import StrEnum

import msgspec

from batchgen.types.http import FaultKind, Payload


class Tokens(msgspec.Struct, frozen=True):
    """Tokens counted by a provider that charges for them: text input, image input, output."""

    text_input: int
    image_input: int
    output: int


class Finished(msgspec.Struct, frozen=True):
    """A usable reply: its payloads, and what the provider says about them.

    uploads: names and ids of uploaded files; a reply to an upload has no payloads.
    has_surplus: whether the reply has more files than are stored.
    """

    payloads: tuple[Payload, ...]
    revised_prompt: str | None = None
    seed: int | None = None
    cost_usd: float | None = None
    tokens: Tokens | None = None
    uploads: tuple[tuple[str, str], ...] = ()
    has_surplus: bool = False


class Pending(msgspec.Struct, frozen=True):
    """A remote job that is in progress; it is polled by its `remote_id`."""

    remote_id: str


class Polling(msgspec.Struct, frozen=True):
    """When a remote job is polled, in seconds.

    first_s: after submission. interval_s: between two polls. deadline_s: in total.
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
    """The kind of request that an attempt sends."""

    SUBMIT = "submit"
    POLL = "poll"
    DOWNLOAD = "download"


STOPPING = "stopping"  # the kind of a Decision made because the run is stopping


class Verb(StrEnum):
    """What an attempt means for its task."""

    ACCEPT = "accept"
    RETRY = "retry"
    FAIL = "fail"
    REFUSE = "refuse"
    HALT = "halt"


class Decision(msgspec.Struct, frozen=True):
    """What an attempt means, and why.

    kind: the error kind in the decision table (`rate_limited`, `auth`, ...); empty if accepted.
    code, message: the provider's own, for the results manifest.
    after_s: seconds that the provider asks to wait; None if the backoff applies.
    hold: whether the wait applies to every worker of the model.
    probe: whether every further request of the model may meet the same: one request of it at a
        time is sent, until one is accepted.
    attempts: the rule's own maximum of attempts, below the job's.
    sent: whether the request may have been executed although there is no usable reply.
    """

    verb: Verb
    kind: str = ""
    code: str | None = None
    message: str = ""
    http_status: int | None = None
    request_id: str | None = None
    after_s: float | None = None
    hold: bool = False
    probe: bool = False
    attempts: int | None = None
    sent: bool = False
    result: Finished | Pending | None = None


class Rule(msgspec.Struct, frozen=True):
    """A rule of the job: all given conditions must match; the first match wins.

    statuses: HTTP statuses; faults: kinds of network fault. A rule with neither matches every
        reply that is not accepted.
    code: the provider's code, case-insensitive, with `*` and `?` as in file names.
    text: texts; one of them must be in the provider's code or message, case-insensitive.
    model: the model's id, with `*` and `?` as in file names.
    after_s: seconds to wait if the provider asks for none; None if the backoff applies.
    attempts: a maximum of attempts, below the job's.
    """

    verb: Verb
    kind: str
    statuses: frozenset[int] | None = None
    faults: frozenset[FaultKind] | None = None
    code: str | None = None
    text: tuple[str, ...] = ()
    model: str | None = None
    phases: frozenset[Phase] | None = None
    after_s: float | None = None
    attempts: int | None = None


class RetrySettings(msgspec.Struct, frozen=True):
    """The number of attempts and the backoff; `rules` precede the built-in table.

    initial_s, max_s: the first and the longest wait of the backoff.
    max_wait_s: the longest `Retry-After` that is obeyed.
    """

    attempts: int = 6
    initial_s: float = 1.0
    max_s: float = 60.0
    jitter: bool = True
    max_wait_s: float = 3600.0
    rules: tuple[Rule, ...] = ()
