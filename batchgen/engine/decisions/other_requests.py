"""The table for polls and downloads: what they ask for is paid for already.

Only definite words end them: a job's own state, a file that is gone for good. Everything else is
asked again until a deadline, and then by the next run.
"""

from batchgen.engine.decisions.entry import ANY_SERVER, ERROR, OK, REDIRECT, UNASSIGNED, Entry
from batchgen.provider.endpoints.account_topics import BAD_KEY, BLOCKED, SPENT
from batchgen.provider.endpoints.pace_topics import SIGNATURE_EXPIRED
from batchgen.types import FaultKind, Phase, Verb

_FILE_HOST = frozenset({Phase.DOWNLOAD})
_POLL = frozenset({Phase.POLL})
_ANY_STATUS = ERROR | REDIRECT | UNASSIGNED
_NO_LONGER = frozenset({400, 401, 403, 404})
_ODD_FAULTS = frozenset({FaultKind.UNREADABLE, FaultKind.BAD_RESPONSE})
_FEW = 5  # polls in a row: a single challenge page may have status 401

# A file host does not see the key: it neither halts the run nor refuses the prompt.
DOWNLOADS: tuple[Entry, ...] = (
    Entry(Verb.FAIL, "expired", "gone for good", statuses=frozenset({410}), phases=_FILE_HOST),
    Entry(
        Verb.FAIL, "expired", "the signature has expired", statuses=_NO_LONGER,
        words_of=SIGNATURE_EXPIRED, phases=_FILE_HOST,
    ),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests", statuses=frozenset({429}),
        phases=_FILE_HOST,
    ),
    Entry(Verb.RETRY, "server", "an error of the host", statuses=ANY_SERVER, phases=_FILE_HOST),
    # A new file may not have reached every host of its network; challenges and errors pass.
    Entry(Verb.RETRY, "not_ready", "not there yet", statuses=_ANY_STATUS, phases=_FILE_HOST),
    Entry(Verb.RETRY, "not_ready", "2xx: not a file", statuses=OK, phases=_FILE_HOST),
    # A file's host is one of many: what is wrong with it must not halt the run.
    Entry(
        Verb.RETRY, "connection", "a certificate, or no TLS", faults=frozenset({FaultKind.TLS}),
        phases=_FILE_HOST, attempts=2,
    ),
    # A file that ends early although all of it arrived will probably be the same again.
    Entry(
        Verb.RETRY, "bad_response", "a file that ends early",
        faults=frozenset({FaultKind.TRUNCATED}), phases=_FILE_HOST, attempts=4,
    ),
    Entry(
        Verb.RETRY, "not_ready", "a reply that cannot be read", faults=_ODD_FAULTS,
        phases=_FILE_HOST,
    ),
)  # fmt: skip

# A submitted job is paid for: it is polled until its deadline.
POLLS: tuple[Entry, ...] = (
    Entry(
        Verb.REFUSE, "content_policy", "the job was refused", phases=_POLL,
        shapes=frozenset({"content_policy"}),
    ),
    Entry(
        Verb.FAIL, "remote_failed", "the job failed", phases=_POLL,
        shapes=frozenset({"remote_failed"}),
    ),
    Entry(
        Verb.RETRY, "auth", "the key is not accepted", statuses=frozenset({401}), phases=_POLL,
        attempts=_FEW,
    ),
    Entry(
        Verb.RETRY, "auth", "the key is not accepted", statuses=ERROR, code_of=BAD_KEY,
        phases=_POLL, attempts=_FEW,
    ),
    Entry(
        Verb.RETRY, "blocked", "the account is blocked", statuses=ERROR, code_of=BLOCKED,
        phases=_POLL, attempts=_FEW,
    ),
    Entry(
        Verb.RETRY, "quota", "the credit is used up", statuses=frozenset({402}), phases=_POLL,
        attempts=_FEW,
    ),
    Entry(
        Verb.RETRY, "quota", "the credit is used up", statuses=ERROR, code_of=SPENT, phases=_POLL,
        attempts=_FEW,
    ),
    # A new job may not have reached every host of the provider.
    Entry(
        Verb.RETRY, "expired", "no such job", statuses=frozenset({404, 410}), phases=_POLL,
        attempts=10,
    ),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests", statuses=frozenset({429}), phases=_POLL
    ),
    Entry(Verb.RETRY, "server", "any other answer", statuses=_ANY_STATUS, phases=_POLL),
    Entry(Verb.RETRY, "bad_response", "2xx: no state and no result", statuses=OK, phases=_POLL),
    Entry(
        Verb.RETRY, "bad_response", "a reply that cannot be read", faults=_ODD_FAULTS,
        phases=_POLL,
    ),
)  # fmt: skip
