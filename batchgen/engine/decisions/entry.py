"""An entry of the decision table, and the facts about a reply that it is compared with."""

from collections.abc import Mapping

import msgspec

from batchgen.provider.endpoints.topics import Topic
from batchgen.types import FaultKind, Phase, Verb

OK = frozenset(range(200, 300))
REDIRECT = frozenset(range(300, 400))
CLIENT = frozenset(range(400, 500))
ANY_SERVER = frozenset(range(500, 600))
SERVER = ANY_SERVER - {501}
ERROR = CLIENT | ANY_SERVER
UNASSIGNED = frozenset(range(600, 1000))  # some hosts block clients with 999


class Facts(msgspec.Struct, frozen=True):
    """The facts about a reply.

    status: the HTTP status, or the one that an error inside a 2xx reply gives.
    code, message: for people. codes, text: all codes of the reply and its message, as topics
    compare them. shape: why a 2xx reply has no result (`empty`, `web_page`, `broken`, …), else
    empty. is_error: whether the provider reports an error, also inside a 2xx reply.
    wait_s: the seconds that the provider asks to wait.
    """

    model: str
    phase: Phase
    message: str
    status: int | None = None
    http_status: int | None = None
    fault: FaultKind | None = None
    code: str | None = None
    codes: tuple[str, ...] = ()
    text: str = ""
    shape: str = ""
    is_error: bool = False
    sent: bool = False
    wait_s: float | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Entry(msgspec.Struct, frozen=True):
    """One row of the table: all given conditions must match.

    kind: of the error, in results and messages. about: the reply in plain words.
    statuses, faults, shapes, phases: conditions; None is any.
    code_of, words_of: a topic that the codes, or the message, must belong to.
    also_words_of, except_words_of: a further topic that the message must, or must not, belong to.
    waits: whether the provider must name a wait.
    hold, probe: as in Decision. attempts: a maximum of attempts, below the job's.
    halt_after: so many failures of this kind in a row and of one model halt the run.
    """

    verb: Verb
    kind: str
    about: str
    statuses: frozenset[int] | None = None
    faults: frozenset[FaultKind] | None = None
    shapes: frozenset[str] | None = None
    phases: frozenset[Phase] | None = None
    code_of: Topic | None = None
    words_of: Topic | None = None
    also_words_of: Topic | None = None
    except_words_of: Topic | None = None
    waits: bool = False
    hold: bool = False
    probe: bool = False
    attempts: int | None = None
    halt_after: int | None = None

    def matches(self, facts: Facts) -> bool:
        """Return whether all conditions of the entry hold."""
        return (
            (self.statuses is None or facts.status in self.statuses)
            and (self.faults is None or facts.fault in self.faults)
            and (self.shapes is None or facts.shape in self.shapes)
            and (self.phases is None or facts.phase in self.phases)
            and (not self.waits or facts.wait_s is not None)
            and (self.code_of is None or self.code_of.has_code(facts.codes))
            and (self.words_of is None or self.words_of.has_words(facts.text))
            and (self.also_words_of is None or self.also_words_of.has_words(facts.text))
            and not (self.except_words_of and self.except_words_of.has_words(facts.text))
        )
