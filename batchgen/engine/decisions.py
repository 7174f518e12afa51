"""Decisions: what a reply means for its task, by a table of rules.

The job's rules are tried first, then `BUILT_IN`; the first match decides. Decisions are values and
not exceptions, so status and headers are never lost.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeAlias, assert_never

import msgspec

from batchgen.engine.retry import CAPPED
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
_PROVIDER = frozenset({Phase.SUBMIT, Phase.POLL})  # a file host does not see the key
_FILE_HOST = frozenset({Phase.DOWNLOAD})
_POLL = frozenset({Phase.POLL})
_SUBMIT = frozenset({Phase.SUBMIT})

# A gateway timed out: the generation behind it may have been made and billed.
_GATEWAY_TIMEOUTS = frozenset({504, 524})

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
_RATE_WORDS = ("rate_limit", "rate limit", "per minute", "per second", "concurren")
_QUOTA_WORDS = ("quota", "credit", "billing")
_PLAN_WORDS = ("resource limit", "plan limit", "daily limit", "spending limit", "spend limit")

BUILT_IN: tuple[Rule, ...] = (
    # File hosts first: their replies must not halt the run or count as a refusal of the prompt.
    # A new file may not have reached every host of its network, so "not found" is retried.
    Rule(Verb.FAIL, "expired", frozenset({410}), phases=_FILE_HOST),
    Rule(Verb.RETRY, "expired", frozenset({403, 404}), phases=_FILE_HOST, attempts=3),
    Rule(Verb.FAIL, "expired", frozenset({400, 401}), text=("expired",), phases=_FILE_HOST),
    Rule(Verb.FAIL, "forbidden", frozenset({401, 402}), phases=_FILE_HOST),
    Rule(Verb.RETRY, "rate_limited", frozenset({_TOO_MANY}), phases=_FILE_HOST),
    # A submitted job is paid for: polling is retried until its deadline. A new job may not have
    # reached every host of the provider, so "not found" is retried too.
    Rule(Verb.RETRY, "expired", frozenset({404, 410}), phases=_POLL, attempts=10),
    Rule(Verb.RETRY, "server", _SERVER | {408, 409, 425}, phases=_POLL),
    # 2xx without a result: `code` is also compared with the kind that the endpoint adapter found.
    Rule(Verb.REFUSE, "content_policy", _OK, code="content_policy"),
    # Gateways wrap errors of the provider in 2xx. By code only: messages quote prompts and units.
    Rule(Verb.HALT, "auth", _OK, code="invalid_api_key", phases=_SUBMIT),
    Rule(Verb.HALT, "quota", _OK, code="insufficient_*", phases=_SUBMIT),
    Rule(Verb.RETRY, "rate_limited", _OK, code="rate_limit*", phases=_SUBMIT, hold=True),
    Rule(Verb.FAIL, "remote_failed", _OK, code="remote_failed"),
    Rule(Verb.RETRY, "bad_response", _OK, phases=_POLL),
    Rule(Verb.RETRY, "bad_response", _OK, attempts=3),
    # Before the rules that blame the account for a 403: a content filter may send it too.
    Rule(Verb.REFUSE, "content_policy", _MODERATED, text=REFUSAL_WORDS, phases=_PROVIDER),
    Rule(Verb.HALT, "auth", frozenset({401})),
    Rule(Verb.HALT, "quota", frozenset({402})),
    Rule(Verb.HALT, "auth", _ACCOUNT, text=_BAD_KEY_WORDS),
    Rule(Verb.HALT, "quota", _ACCOUNT, text=_SPENT_WORDS),
    # Rate limits mention quotas, keys and billing pages too ("quota of 5 images per minute").
    Rule(Verb.RETRY, "rate_limited", frozenset({_TOO_MANY}), text=_RATE_WORDS, hold=True),
    Rule(Verb.HALT, "quota", _ACCOUNT, text=_QUOTA_WORDS),
    Rule(Verb.HALT, "quota", frozenset({403}), text=_PLAN_WORDS),
    Rule(Verb.HALT, "auth", frozenset({403}), text=_KEY_WORDS),
    Rule(Verb.RETRY, "rate_limited", frozenset({_TOO_MANY}), hold=True),
    Rule(Verb.FAIL, "forbidden", frozenset({403})),
    Rule(Verb.RETRY, "server", frozenset({408, 409, 425})),
    Rule(Verb.FAIL, "invalid_request", _CLIENT),
    # https://docs.aimlapi.com, "Errors and messages": it lasts longer than retries do.
    Rule(Verb.FAIL, "server", frozenset({500, 503}), text=("under maintenance",)),
    Rule(Verb.RETRY, "server", _SERVER),
    Rule(Verb.FAIL, "server", frozenset({501})),
    Rule(Verb.FAIL, "bad_response", _REDIRECT),
    Rule(Verb.RETRY, "timeout", faults=frozenset({FaultKind.TIMEOUT})),
    Rule(Verb.RETRY, "connection", faults=frozenset({FaultKind.CONNECTION})),
    # A file's host is one of many: what is wrong with it must not halt the run.
    Rule(
        Verb.RETRY, "connection", faults=frozenset({FaultKind.TLS}), phases=_FILE_HOST, attempts=2
    ),
    Rule(Verb.HALT, "tls", faults=frozenset({FaultKind.TLS})),
    Rule(Verb.HALT, "proxy", faults=frozenset({FaultKind.PROXY})),
    Rule(Verb.FAIL, "bad_response", faults=frozenset({FaultKind.UNREADABLE})),
    Rule(Verb.RETRY, "bad_response", faults=frozenset({FaultKind.BAD_RESPONSE}), attempts=3),
    Rule(Verb.FAIL, "unsafe_url", faults=frozenset({FaultKind.UNSAFE_URL})),
    Rule(Verb.FAIL, "input_file", faults=frozenset({FaultKind.INPUT_FILE})),
    Rule(Verb.FAIL, "bad_response"),
)


class _Facts(msgspec.Struct, frozen=True):
    """The facts about a reply that rules match.

    endpoint_kind: the adapter's kind of a 2xx reply without a result, else empty.
    """

    model: str
    phase: Phase
    message: str
    status: int | None = None
    fault: FaultKind | None = None
    code: str | None = None
    endpoint_kind: str = ""
    sent: bool = False
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


def classify(  # noqa: PLR0913  # all but the reply are keyword-only
    reply: Reply,
    *,
    parse: Parse,
    settings: RetrySettings,
    phase: Phase = Phase.SUBMIT,
    model: str = "",
    now: datetime,
) -> Decision:
    """Return the decision about a reply. Total; pure if `parse` is.

    parse: reads a 2xx reply; not called for other replies.
    now: aware UTC, for a `Retry-After` that is a date.

    `Decision.sent` is set if a submit may have been carried out although no usable reply came: for
    a network fault if the transport says so, for a gateway timeout (504, and 524 of Cloudflare),
    and for a 2xx reply without a result. Any other error status means that nothing was made, and
    the vendor does not charge for failed requests. Polls and downloads make nothing.
    """
    match reply:
        case NetworkFault(kind, message, sent):
            facts = _Facts(model, phase, sanitize(message), fault=kind, sent=sent)
        case HttpResponse() if reply.status in _OK:
            result = (
                Unusable(FaultKind.BAD_RESPONSE, reply.undecodable)
                if reply.undecodable
                else parse(reply)
            )
            if not isinstance(result, Unusable):
                return Decision(
                    Verb.ACCEPT,
                    http_status=reply.status,
                    request_id=request_id(reply.headers),
                    after_s=_poll_after_s(result, reply, settings, now),
                    result=result,
                )
            facts = _facts_of_unusable(result, reply, model, phase)
        case HttpResponse():
            facts = _facts_of_error(reply, model, phase)
        case _:
            assert_never(reply)
    return _decide(facts, settings, now)


def describe(rules: Iterable[Rule]) -> list[tuple[str, str, str]]:
    """Return each rule for people: its condition, its action and its kind."""
    return [(_format_condition(rule), _format_action(rule), rule.kind) for rule in rules]


def _poll_after_s(
    result: Finished | Pending, reply: HttpResponse, settings: RetrySettings, now: datetime
) -> float | None:
    """Return the seconds until the next poll if the provider gives them, else None."""
    if not isinstance(result, Pending):
        return None
    asked_s = requested_wait_s(reply.status, reply.headers, now)
    return None if asked_s is None else min(asked_s, settings.max_wait_s)


def _facts_of_unusable(result: Unusable, reply: HttpResponse, model: str, phase: Phase) -> _Facts:
    return _Facts(
        model,
        phase,
        sanitize(result.message),
        status=reply.status,
        code=result.code,
        endpoint_kind=result.kind,
        sent=result.kind == FaultKind.BAD_RESPONSE,
        headers=reply.headers,
    )


def _facts_of_error(reply: HttpResponse, model: str, phase: Phase) -> _Facts:
    error = read_error(reply)
    message = error.message
    if reply.status in _REDIRECT:
        target = sanitize(reply.headers.get("location", "").partition("?")[0], 200) or "nowhere"
        message = f"HTTP {reply.status} redirects to {target}"
        if phase in _PROVIDER:  # neither the key nor a paid request is sent to another address
            message += "; set the provider's base URL to the API's own address"
    return _Facts(
        model,
        phase,
        message,
        status=reply.status,
        code=error.code,
        sent=reply.status in _GATEWAY_TIMEOUTS,
        headers=reply.headers,
    )


def _decide(facts: _Facts, settings: RetrySettings, now: datetime) -> Decision:
    job_rule = next((rule for rule in settings.rules if _matches(rule, facts)), None)
    built_in = next(rule for rule in BUILT_IN if _matches(rule, facts))
    rule = job_rule or built_in
    # A header does not overrule the job.
    verb = job_rule.verb if job_rule else _apply_should_retry(built_in, facts)
    message, after_s = facts.message, None
    if verb is Verb.RETRY:
        asked_s = requested_wait_s(facts.status, facts.headers, now)
        after_s = rule.after_s if asked_s is None else min(asked_s, settings.max_wait_s)
        if asked_s is not None and asked_s > settings.max_wait_s:
            message += f" (asked to wait {asked_s:.0f} s,{CAPPED}{settings.max_wait_s:.0f} s)"
    return Decision(
        verb,
        rule.kind,
        code=facts.code,
        message=message,
        http_status=facts.status,
        request_id=request_id(facts.headers),
        after_s=after_s,
        # A rate limit applies to the whole model, even if a rule of the job decided to retry.
        hold=verb is Verb.RETRY and (rule.hold or built_in.hold),
        attempts=rule.attempts,
        sent=facts.sent and facts.phase is Phase.SUBMIT,
    )


def _matches(rule: Rule, facts: _Facts) -> bool:
    text = f"{facts.code or ''}\n{facts.message}".casefold()
    return (
        _kind_matches(rule, facts)
        and (rule.phases is None or facts.phase in rule.phases)
        and (rule.model is None or _is_like(facts.model, rule.model))
        and (rule.code is None or any(_is_like(code, rule.code) for code in _codes(facts)))
        and (not rule.text or any(words.casefold() in text for words in rule.text))
    )


def _kind_matches(rule: Rule, facts: _Facts) -> bool:
    if rule.statuses is None and rule.faults is None:
        return True
    by_status = rule.statuses is not None and facts.status in rule.statuses
    return by_status or (rule.faults is not None and facts.fault in rule.faults)


def _codes(facts: _Facts) -> tuple[str, ...]:
    return tuple(code for code in (facts.code, facts.endpoint_kind) if code)


def _is_like(word: str, pattern: str) -> bool:
    # Only `*` and `?` are wildcards; a bracket is literal.
    return fnmatchcase(word.casefold(), pattern.casefold().replace("[", "[[]"))


def _apply_should_retry(rule: Rule, facts: _Facts) -> Verb:
    """Obey `x-should-retry`, as OpenAI's own client does, except for halts and refusals.

    It is ignored for downloads: the file is paid for.
    """
    if facts.phase is Phase.DOWNLOAD:
        return rule.verb
    should_retry = facts.headers.get("x-should-retry", "").strip().casefold()
    if should_retry == "false" and rule.verb is Verb.RETRY:
        return Verb.FAIL
    is_error = facts.status in _CLIENT or facts.status in _ANY_SERVER
    if should_retry == "true" and rule.verb is Verb.FAIL and is_error:
        return Verb.RETRY
    return rule.verb


_CLASSES = (
    (_ANY_SERVER, "5xx"), (_SERVER, "5xx except 501"), (_CLIENT, "4xx"),
    (_REDIRECT, "3xx"), (_OK, "2xx without a result"),
)  # fmt: skip
_MAX_TEXTS = 4


def _format_condition(rule: Rule) -> str:
    kinds = [_format_statuses(rule.statuses)] if rule.statuses is not None else []
    kinds += sorted(rule.faults) if rule.faults is not None else []
    parts = [" or ".join(kinds) or "anything else"]
    if rule.code is not None:
        parts.append(f"code {rule.code}")
    if rule.text:
        texts = ", ".join(f"`{text}`" for text in rule.text[:_MAX_TEXTS])
        parts.append(f"containing {texts}{', …' if len(rule.text) > _MAX_TEXTS else ''}")
    if rule.model is not None:
        parts.append(f"model {rule.model}")
    if rule.phases is not None:
        parts.append("in " + " or ".join(sorted(rule.phases)))
    return ", ".join(parts)


def _format_statuses(statuses: frozenset[int]) -> str:
    classes, rest = [], set(statuses)
    for members, name in _CLASSES:
        if members <= rest:
            classes.append(name)
            rest -= members
    return ", ".join([*map(str, sorted(rest)), *classes])


def _format_action(rule: Rule) -> str:
    parts = [str(rule.verb)]
    if rule.after_s is not None:
        parts.append(f"after {rule.after_s:g} s")
    if rule.attempts is not None:
        parts.append(f"at most {rule.attempts} attempts")
    if rule.hold:
        parts.append("all workers of the model wait")
    return ", ".join(parts)
