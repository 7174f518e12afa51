"""The table for polls and downloads: what they ask for is paid for already."""

from batchgen.engine.decisions.entry import OK, SERVER, Entry
from batchgen.provider.endpoints.pace_topics import EXPIRED
from batchgen.types import FaultKind, Phase, Verb

_FILE_HOST = frozenset({Phase.DOWNLOAD})
_POLL = frozenset({Phase.POLL})

# A file host does not see the key: it neither halts the run nor refuses the prompt.
DOWNLOADS: tuple[Entry, ...] = (
    Entry(Verb.FAIL, "expired", "gone", statuses=frozenset({410}), phases=_FILE_HOST),
    # A new file may not have reached every host of its network.
    Entry(
        Verb.RETRY, "expired", "not there", statuses=frozenset({403, 404}), phases=_FILE_HOST,
        attempts=3,
    ),
    Entry(
        Verb.FAIL, "expired", "the signature has expired", statuses=frozenset({400, 401}),
        words_of=EXPIRED, phases=_FILE_HOST,
    ),
    Entry(
        Verb.FAIL, "forbidden", "not allowed", statuses=frozenset({401, 402}), phases=_FILE_HOST
    ),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests", statuses=frozenset({429}),
        phases=_FILE_HOST,
    ),
    # A file's host is one of many: what is wrong with it must not halt the run.
    Entry(
        Verb.RETRY, "connection", "a certificate, or no TLS", faults=frozenset({FaultKind.TLS}),
        phases=_FILE_HOST, attempts=2,
    ),
    Entry(
        Verb.RETRY, "bad_response", "2xx: not a file", statuses=OK, phases=_FILE_HOST, attempts=3
    ),
)  # fmt: skip

# A submitted job is paid for: it is polled until its deadline.
POLLS: tuple[Entry, ...] = (
    # A new job may not have reached every host of the provider.
    Entry(
        Verb.RETRY, "expired", "no such job", statuses=frozenset({404, 410}), phases=_POLL,
        attempts=10,
    ),
    Entry(
        Verb.RETRY, "server", "an error of the provider", statuses=SERVER | {408, 409, 425},
        phases=_POLL,
    ),
    Entry(
        Verb.REFUSE, "content_policy", "the job was refused", phases=_POLL,
        shapes=frozenset({"content_policy"}),
    ),
    Entry(
        Verb.FAIL, "remote_failed", "the job failed", phases=_POLL,
        shapes=frozenset({"remote_failed"}),
    ),
    Entry(Verb.RETRY, "bad_response", "2xx: no state and no result", statuses=OK, phases=_POLL),
)  # fmt: skip
