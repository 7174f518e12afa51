"""What a reply means: results, decisions, and the rules that make them."""

from enum import StrEnum

import msgspec

from batchgen.types.http import FaultKind, Payload


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
