"""What a reply means for its task, and the tenacity policy that obeys it.

The table is data: the job's rules are tried first, then `BUILT_IN`, and the first match wins.
Decisions are values; no exception carries control flow, so status and headers are never lost.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeAlias, assert_never

import msgspec

from batchgen.engine.retry import CUT
from batchgen.provider.endpoints.errors import REFUSAL_WORDS, read_error, sanitize
from batchgen.provider.endpoints.headers import request_id, requested_wait_s
from batchgen.types import (
    Decision,
    FaultKind,
    Finished,
    HttpResponse,
    NetworkFault,
    Pending,
    Phase,
    Reply,
    RetrySettings,
    Rule,
    Unusable,
    Verb,
)

Parse: TypeAlias = Callable[[HttpResponse], Finished | Pending | Unusable]

_OK = frozenset(range(200, 300))
_REDIRECT = frozenset(range(300, 400))
_CLIENT = frozenset(range(400, 500))
_ANY_SERVER = frozenset(range(500, 600))
_SERVER = _ANY_SERVER - {501}
_TOO_MANY = 429
_PROVIDER = frozenset({Phase.SUBMIT, Phase.POLL})  # a file host's reply says nothing of our key
_FILE_HOST = frozenset({Phase.DOWNLOAD})
_POLL = frozenset({Phase.POLL})
_SUBMIT = frozenset({Phase.SUBMIT})

# A gateway that gave up waiting for a generation that may well have been made and billed.
_TIMED_OUT_BEHIND = frozenset({504, 524})

_MODERATED = frozenset({400, 403, 422})
_ACCOUNT = frozenset({403, 429})
_KEY_WORDS = ("api key", "api-key", "api_key", "apikey", "access token", "your key", "invalid key")
_BAD_KEY_WORDS = (
    "invalid_api_key", "invalid api key", "incorrect api key", "key is invalid",
    "key is disabled", "key is expired", "key has expired", "key has been revoked",
)  # fmt: skip
_SPENT_WORDS = (
    "insufficient_quota", "exceeded your current quota", "free-tier limit",
    "out of credit", "insufficient credit", "insufficient_credit",
    "insufficient balance", "insufficient_balance", "insufficient funds",
)  # fmt: skip
_PACE_WORDS = ("rate_limit", "rate limit", "per minute", "per second", "concurren")
_QUOTA_WORDS = ("quota", "credit", "billing")
_PLAN_WORDS = ("resource limit", "plan limit", "daily limit", "spending limit", "spend limit")

BUILT_IN: tuple[Rule, ...] = (
    # A file host first: nothing that it says may halt the run or blame the prompt.
    # A file may not have reached every host of its network yet, so "not there" is asked again.
    Rule(Verb.FAIL, "expired", frozenset({410}), phases=_FILE_HOST),
    Rule(Verb.RETRY, "expired", frozenset({403, 404}), phases=_FILE_HOST, attempts=3),
    Rule(Verb.FAIL, "expired", frozenset({400, 401}), text=("expired",), phases=_FILE_HOST),
    Rule(Verb.FAIL, "forbidden", frozenset({401, 402}), phases=_FILE_HOST),
    Rule(Verb.RETRY, "rate_limited", frozenset({_TOO_MANY}), phases=_FILE_HOST),
    # What is submitted is paid for: it is asked for again as long as there is hope. A job that has
    # just been submitted may not have reached every host yet, so "not there" is asked again too.
    Rule(Verb.RETRY, "expired", frozenset({404, 410}), phases=_POLL, attempts=10),
    Rule(Verb.RETRY, "server", _SERVER | {408, 409, 425}, phases=_POLL),
    # 2xx without a result: `code` is the kind that the endpoint found.
    Rule(Verb.REFUSE, "content_policy", _OK, code="content_policy"),
    # Gateways wrap the provider's refusals so. By code alone: messages quote prompts and units.
    Rule(Verb.HALT, "auth", _OK, code="invalid_api_key", phases=_SUBMIT),
    Rule(Verb.HALT, "quota", _OK, code="insufficient_*", phases=_SUBMIT),
    Rule(Verb.RETRY, "rate_limited", _OK, code="rate_limit*", phases=_SUBMIT, hold=True),
    Rule(Verb.FAIL, "remote_failed", _OK, code="remote_failed"),
    Rule(Verb.RETRY, "bad_response", _OK, phases=_POLL),
    Rule(Verb.RETRY, "bad_response", _OK, attempts=3),
    # Before 403 is taken for the account's fault: a filter may answer with it.
    Rule(Verb.REFUSE, "content_policy", _MODERATED, text=REFUSAL_WORDS, phases=_PROVIDER),
    Rule(Verb.HALT, "auth", frozenset({401})),
    Rule(Verb.HALT, "quota", frozenset({402})),
    Rule(Verb.HALT, "auth", _ACCOUNT, text=_BAD_KEY_WORDS),
    Rule(Verb.HALT, "quota", _ACCOUNT, text=_SPENT_WORDS),
    # Ordinary pacing mentions quotas, keys and billing pages too ("quota of 5 images per minute").
    Rule(Verb.RETRY, "rate_limited", frozenset({_TOO_MANY}), text=_PACE_WORDS, hold=True),
    Rule(Verb.HALT, "quota", _ACCOUNT, text=_QUOTA_WORDS),
    Rule(Verb.HALT, "quota", frozenset({403}), text=_PLAN_WORDS),
    Rule(Verb.HALT, "auth", frozenset({403}), text=_KEY_WORDS),
    Rule(Verb.RETRY, "rate_limited", frozenset({_TOO_MANY}), hold=True),
    Rule(Verb.FAIL, "forbidden", frozenset({403})),
    Rule(Verb.RETRY, "server", frozenset({408, 409, 425})),
    Rule(Verb.FAIL, "invalid_request", _CLIENT),
    # https://docs.aimlapi.com, "Errors and messages": it lasts longer than a run's patience.
    Rule(Verb.FAIL, "server", frozenset({500, 503}), text=("under maintenance",)),
    Rule(Verb.RETRY, "server", _SERVER),
    Rule(Verb.FAIL, "server", frozenset({501})),
    Rule(Verb.FAIL, "bad_response", _REDIRECT),
    Rule(Verb.RETRY, "timeout", faults=frozenset({FaultKind.TIMEOUT})),
    Rule(Verb.RETRY, "connection", faults=frozenset({FaultKind.CONNECTION})),
    Rule(Verb.RETRY, "bad_response", faults=frozenset({FaultKind.BAD_RESPONSE}), attempts=3),
    Rule(Verb.FAIL, "unsafe_url", faults=frozenset({FaultKind.UNSAFE_URL})),
    Rule(Verb.FAIL, "input_file", faults=frozenset({FaultKind.INPUT_FILE})),
    Rule(Verb.FAIL, "bad_response"),
)


class _Seen(msgspec.Struct, frozen=True):
    """What rules are held against.

    word: the kind that an endpoint gave to a 2xx reply without a result; empty otherwise.
    """

    model: str
    phase: Phase
    message: str
    status: int | None = None
    fault: FaultKind | None = None
    code: str | None = None
    word: str = ""
    sent: bool = False
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


def classify(  # noqa: PLR0913  # the reply, and what is held against it; keyword-only
    reply: Reply,
    *,
    parse: Parse,
    settings: RetrySettings,
    phase: Phase = Phase.SUBMIT,
    model: str = "",
    now: datetime,
) -> Decision:
    """Decide what a reply means; total, and pure where `parse` is.

    parse: reads a 2xx reply; called for no other.
    now: aware UTC, for `Retry-After` given as a date.

    `Decision.sent` is set where a submit may have been carried out although no usable reply came:
    as the transport says for a fault, for a gateway's timeout (504, and 524 of Cloudflare), and
    for a 2xx reply without a result. Any other error status is the provider's word that it made
    nothing, and the vendor does not charge for failed requests. Polls and downloads make nothing.
    """
    match reply:
        case NetworkFault(kind, message, sent):
            seen = _Seen(model, phase, sanitize(message), fault=kind, sent=sent)
        case HttpResponse() if reply.status in _OK:
            result = parse(reply)
            if not isinstance(result, Unusable):
                return Decision(
                    Verb.ACCEPT,
                    http_status=reply.status,
                    request_id=request_id(reply.headers),
                    after_s=_until_asked(result, reply, settings, now),
                    result=result,
                )
            seen = _unusable(result, reply, model, phase)
        case HttpResponse():
            seen = _refused(reply, model, phase)
        case _:
            assert_never(reply)
    return _judge(seen, settings, now)


def describe(rules: Iterable[Rule]) -> list[tuple[str, str, str]]:
    """Tell a table of rules for people: what is seen, what is done then, and its kind."""
    return [(_told_condition(rule), _told_action(rule), rule.kind) for rule in rules]


def _until_asked(
    result: Finished | Pending, reply: HttpResponse, settings: RetrySettings, now: datetime
) -> float | None:
    """Seconds until the provider wants to be asked for what it works on, where it tells them."""
    if not isinstance(result, Pending):
        return None
    asked_s = requested_wait_s(reply.status, reply.headers, now)
    return None if asked_s is None else min(asked_s, settings.max_wait_s)


def _unusable(found: Unusable, reply: HttpResponse, model: str, phase: Phase) -> _Seen:
    return _Seen(
        model,
        phase,
        sanitize(found.message),
        status=reply.status,
        code=found.code,
        word=found.kind,
        sent=found.kind == FaultKind.BAD_RESPONSE,
        headers=reply.headers,
    )


def _refused(reply: HttpResponse, model: str, phase: Phase) -> _Seen:
    error = read_error(reply)
    message = error.message
    if reply.status in _REDIRECT:
        target = sanitize(reply.headers.get("location", "").partition("?")[0], 200) or "nowhere"
        message = f"HTTP {reply.status} redirects to {target}"
        if phase in _PROVIDER:  # a key and a paid request are not carried to another address
            message += "; set the provider's base URL to where the API itself answers"
    return _Seen(
        model,
        phase,
        message,
        status=reply.status,
        code=error.code,
        sent=reply.status in _TIMED_OUT_BEHIND,
        headers=reply.headers,
    )


def _judge(seen: _Seen, settings: RetrySettings, now: datetime) -> Decision:
    own = next((rule for rule in settings.rules if _matches(rule, seen)), None)
    built_in = next(rule for rule in BUILT_IN if _matches(rule, seen))
    rule = own or built_in
    # What the job's author wrote is not overruled by a header.
    verb = own.verb if own else _as_the_provider_wishes(built_in, seen)
    message, after_s = seen.message, None
    if verb is Verb.RETRY:
        asked_s = requested_wait_s(seen.status, seen.headers, now)
        after_s = rule.after_s if asked_s is None else min(asked_s, settings.max_wait_s)
        if asked_s is not None and asked_s > settings.max_wait_s:
            message += f" (asked to wait {asked_s:.0f} s,{CUT}{settings.max_wait_s:.0f} s)"
    return Decision(
        verb,
        rule.kind,
        code=seen.code,
        message=message,
        http_status=seen.status,
        request_id=request_id(seen.headers),
        after_s=after_s,
        # The pace is the model's, whoever decided to try again: a 429 closes it for all.
        hold=verb is Verb.RETRY and (rule.hold or built_in.hold),
        attempts=rule.attempts,
        sent=seen.sent and seen.phase is Phase.SUBMIT,
    )


def _matches(rule: Rule, seen: _Seen) -> bool:
    said = f"{seen.code or ''}\n{seen.message}".casefold()
    return (
        _kind_matches(rule, seen)
        and (rule.phases is None or seen.phase in rule.phases)
        and (rule.model is None or _is_like(seen.model, rule.model))
        and (rule.code is None or any(_is_like(word, rule.code) for word in _codes(seen)))
        and (not rule.text or any(words.casefold() in said for words in rule.text))
    )


def _kind_matches(rule: Rule, seen: _Seen) -> bool:
    if rule.statuses is None and rule.faults is None:
        return True
    by_status = rule.statuses is not None and seen.status in rule.statuses
    return by_status or (rule.faults is not None and seen.fault in rule.faults)


def _codes(seen: _Seen) -> tuple[str, ...]:
    return tuple(word for word in (seen.code, seen.word) if word)


def _is_like(word: str, pattern: str) -> bool:
    # Only `*` and `?` are promised; a bracket stands for itself.
    return fnmatchcase(word.casefold(), pattern.casefold().replace("[", "[[]"))


def _as_the_provider_wishes(rule: Rule, seen: _Seen) -> Verb:
    """Honour `x-should-retry`, which OpenAI's own client obeys; halts and refusals stand.

    Of a file host it is not heeded: what it has is paid for.
    """
    if seen.phase is Phase.DOWNLOAD:
        return rule.verb
    wish = seen.headers.get("x-should-retry", "").strip().casefold()
    if wish == "false" and rule.verb is Verb.RETRY:
        return Verb.FAIL
    told_wrong = seen.status in _CLIENT or seen.status in _ANY_SERVER
    if wish == "true" and rule.verb is Verb.FAIL and told_wrong:
        return Verb.RETRY
    return rule.verb


_CLASSES = (
    (_ANY_SERVER, "5xx"), (_SERVER, "5xx but 501"), (_CLIENT, "4xx"),
    (_REDIRECT, "3xx"), (_OK, "2xx without a result"),
)  # fmt: skip
_WORDS_SHOWN = 4


def _told_condition(rule: Rule) -> str:
    kinds = [_told_statuses(rule.statuses)] if rule.statuses is not None else []
    kinds += sorted(rule.faults) if rule.faults is not None else []
    parts = [" or ".join(kinds) or "anything else"]
    if rule.code is not None:
        parts.append(f"code {rule.code}")
    if rule.text:
        words = ", ".join(f"`{words}`" for words in rule.text[:_WORDS_SHOWN])
        parts.append(f"saying {words}{', …' if len(rule.text) > _WORDS_SHOWN else ''}")
    if rule.model is not None:
        parts.append(f"model {rule.model}")
    if rule.phases is not None:
        parts.append("in " + " or ".join(sorted(rule.phases)))
    return ", ".join(parts)


def _told_statuses(statuses: frozenset[int]) -> str:
    told, rest = [], set(statuses)
    for members, name in _CLASSES:
        if members <= rest:
            told.append(name)
            rest -= members
    return ", ".join([*map(str, sorted(rest)), *told])


def _told_action(rule: Rule) -> str:
    parts = [str(rule.verb)]
    if rule.after_s is not None:
        parts.append(f"after {rule.after_s:g} s")
    if rule.attempts is not None:
        parts.append(f"{rule.attempts} attempts at most")
    if rule.hold:
        parts.append("all workers of the model wait")
    return ", ".join(parts)
