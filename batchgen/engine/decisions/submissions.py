"""The table for requests that generate something: their replies may cost money.

The order is the meaning: what the reply says about time goes before codes, codes before words,
words before the status.
"""

from batchgen.engine.decisions.entry import ANY_SERVER, CLIENT, ERROR, OK, REDIRECT, SERVER, Entry
from batchgen.provider.endpoints.account_topics import BAD_KEY, BLOCKED, MODEL, SPENT
from batchgen.provider.endpoints.pace_topics import (
    DOUBT,
    FAST,
    KEY_NAMED,
    MAINTENANCE,
    OUTAGE,
    PACE,
    PLAN,
    RATE_LIMIT,
    TROUBLE,
)
from batchgen.provider.endpoints.refusals import PARAMETER, REFUSAL, REFUSAL_HINT
from batchgen.types import FaultKind, Verb

_TOO_MANY = frozenset({429})
_INSIDE = ERROR | OK  # an error inside a 2xx reply is judged like any other
_WORDED = frozenset({400, 401, 403, 404, 405, 406, 409, 410, 422, 423, 451}) | OK
_FEW = 5

ERRORS: tuple[Entry, ...] = (
    Entry(
        Verb.RETRY, "rate_limited", "too many requests, and the reply names a time",
        statuses=_TOO_MANY, waits=True, hold=True,
    ),
    Entry(Verb.HALT, "blocked", "the account is blocked", statuses=_INSIDE, code_of=BLOCKED),
    Entry(
        Verb.REFUSE, "content_policy", "a content filter refuses", statuses=_INSIDE,
        code_of=REFUSAL,
    ),
    Entry(Verb.HALT, "auth", "the key is not accepted", statuses=_INSIDE, code_of=BAD_KEY),
    Entry(Verb.HALT, "quota", "the credit is used up", statuses=_INSIDE, code_of=SPENT),
    Entry(
        Verb.FAIL, "model", "the model is gone or not allowed", statuses=_INSIDE, code_of=MODEL,
        halt_after=_FEW,
    ),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests, or the credit is used up",
        statuses=_TOO_MANY, words_of=SPENT, also_words_of=FAST, hold=True, probe=True,
    ),
    Entry(Verb.HALT, "quota", "the credit is used up", statuses=_INSIDE, words_of=SPENT),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests, and the account is held for them",
        statuses=_TOO_MANY, words_of=BLOCKED, also_words_of=FAST, hold=True, probe=True,
    ),
    Entry(
        Verb.HALT, "blocked", "the account is blocked", statuses=_WORDED | _TOO_MANY,
        words_of=BLOCKED,
    ),
    Entry(
        Verb.HALT, "blocked", "the account is blocked", statuses=ANY_SERVER,
        words_of=BLOCKED, except_words_of=TROUBLE,
    ),
    Entry(
        Verb.REFUSE, "content_policy", "a content filter refuses", statuses=_WORDED,
        words_of=REFUSAL,
    ),
    Entry(
        Verb.REFUSE, "content_policy", "a content filter refuses", statuses=_WORDED,
        words_of=REFUSAL_HINT, except_words_of=PARAMETER,
    ),
    Entry(
        Verb.REFUSE, "content_policy", "a content filter refuses", statuses=ANY_SERVER,
        words_of=REFUSAL, except_words_of=TROUBLE,
    ),
    Entry(Verb.HALT, "auth", "the key is not accepted", statuses=_INSIDE, words_of=BAD_KEY),
    Entry(
        Verb.FAIL, "model", "the model is gone or not allowed", statuses=_WORDED, words_of=MODEL,
        halt_after=_FEW,
    ),
    Entry(Verb.HALT, "auth", "the key is not accepted", statuses=frozenset({401})),
    Entry(Verb.HALT, "quota", "the credit is used up", statuses=frozenset({402})),
    Entry(
        Verb.RETRY, "rate_limited", "requests come too fast", statuses=_INSIDE, code_of=PACE,
        hold=True,
    ),
    Entry(
        Verb.RETRY, "rate_limited", "requests come too fast", statuses=_TOO_MANY, words_of=PACE,
        hold=True,
    ),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests, or the credit is used up",
        statuses=_TOO_MANY, code_of=DOUBT, hold=True, probe=True,
    ),
    Entry(
        Verb.RETRY, "rate_limited", "too many requests, or the credit is used up",
        statuses=_TOO_MANY, words_of=DOUBT, hold=True, probe=True,
    ),
    Entry(Verb.RETRY, "rate_limited", "too many requests", statuses=_TOO_MANY, hold=True),
    Entry(
        Verb.RETRY, "rate_limited", "requests come too fast", statuses=frozenset({403}),
        words_of=RATE_LIMIT, hold=True,
    ),
    Entry(
        Verb.HALT, "quota", "a limit of the plan is reached", statuses=frozenset({403}),
        words_of=PLAN,
    ),
    Entry(
        Verb.HALT, "auth", "the key may not do this", statuses=frozenset({403}),
        words_of=KEY_NAMED,
    ),
    Entry(
        Verb.FAIL, "forbidden", "the account may not do this", statuses=frozenset({403}),
        halt_after=_FEW,
    ),
    Entry(
        Verb.FAIL, "not_found", "no such address or model", statuses=frozenset({404, 405, 410}),
        halt_after=_FEW,
    ),
    Entry(Verb.RETRY, "server", "try again", statuses=frozenset({408, 409, 425})),
    Entry(Verb.FAIL, "invalid_request", "the request is rejected", statuses=CLIENT),
    # https://docs.aimlapi.com, "Errors and messages": it lasts longer than retries do.
    Entry(
        Verb.FAIL, "server", "maintenance", statuses=frozenset({500, 503}), words_of=MAINTENANCE
    ),
    Entry(Verb.RETRY, "server", "an error of the provider", statuses=SERVER),
    Entry(Verb.FAIL, "server", "not implemented", statuses=ANY_SERVER),
    Entry(
        Verb.RETRY, "rate_limited", "an error in a 2xx reply: too fast", statuses=OK,
        words_of=RATE_LIMIT, hold=True,
    ),
    Entry(
        Verb.RETRY, "server", "an error in a 2xx reply: an outage", statuses=OK, code_of=OUTAGE
    ),
    Entry(
        Verb.RETRY, "server", "an error in a 2xx reply: an outage", statuses=OK, words_of=OUTAGE
    ),
    Entry(Verb.FAIL, "remote_failed", "an error in a 2xx reply", statuses=OK),
    Entry(
        Verb.FAIL, "bad_response", "a redirect: neither the key nor a paid request follows it",
        statuses=REDIRECT, halt_after=_FEW,
    ),
)  # fmt: skip

WITHOUT_RESULT: tuple[Entry, ...] = (
    Entry(
        Verb.REFUSE, "content_policy", "2xx: every result is flagged",
        shapes=frozenset({"content_policy"}),
    ),
    Entry(
        Verb.FAIL, "remote_failed", "2xx: the generation failed",
        shapes=frozenset({"remote_failed"}),
    ),
    Entry(
        Verb.RETRY, "bad_response", "2xx: an empty list and nothing beside it", attempts=3,
        shapes=frozenset({"empty"}), halt_after=_FEW,
    ),
    Entry(
        Verb.RETRY, "web_page", "2xx: a web page", attempts=3, shapes=frozenset({"web_page"}),
        halt_after=_FEW,
    ),
    Entry(
        Verb.RETRY, "bad_response", "2xx: cut off, or broken JSON", attempts=3,
        shapes=frozenset({"broken"}), halt_after=_FEW,
    ),
    Entry(
        Verb.FAIL, "bad_response", "2xx: no result is found; the reply is kept",
        shapes=frozenset({"unknown"}), halt_after=_FEW,
    ),
)  # fmt: skip

FAULTS: tuple[Entry, ...] = (
    Entry(
        Verb.RETRY, "timeout", "no reply in time", faults=frozenset({FaultKind.TIMEOUT})
    ),
    Entry(
        Verb.RETRY, "connection", "no connection, or it broke off",
        faults=frozenset({FaultKind.CONNECTION}),
    ),
    Entry(Verb.HALT, "tls", "a certificate, or no TLS", faults=frozenset({FaultKind.TLS})),
    Entry(Verb.HALT, "proxy", "the proxy refuses", faults=frozenset({FaultKind.PROXY})),
    Entry(
        Verb.FAIL, "bad_response", "a reply that will be the same again",
        faults=frozenset({FaultKind.UNREADABLE}), halt_after=_FEW,
    ),
    Entry(
        Verb.RETRY, "bad_response", "a reply that is cut or damaged", attempts=3,
        faults=frozenset({FaultKind.BAD_RESPONSE}), halt_after=_FEW,
    ),
    Entry(
        Verb.FAIL, "unsafe_url", "a URL that must not be fetched",
        faults=frozenset({FaultKind.UNSAFE_URL}),
    ),
    Entry(
        Verb.FAIL, "input_file", "a file of the row is missing or has changed",
        faults=frozenset({FaultKind.INPUT_FILE}),
    ),
    Entry(Verb.FAIL, "bad_response", "anything else"),
)  # fmt: skip
