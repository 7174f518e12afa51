"""Classify a reply: the job's rules first, then the built-in table; the first match decides."""

from collections.abc import Callable
from datetime import datetime
from fnmatch import fnmatchcase
from typing import TypeAlias, assert_never

from batchgen.engine.decisions.entry import ERROR, OK, Entry, Facts
from batchgen.engine.decisions.facts import facts_of_error, facts_of_fault, facts_of_unusable
from batchgen.engine.decisions.table import BUILT_IN
from batchgen.engine.retry import CAPPED
from batchgen.provider.endpoints.headers import request_id
from batchgen.provider.endpoints.waits import poll_wait_s
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

_NO_RESULT = frozenset({"empty", "web_page", "broken", "unknown"})


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
    and for a 2xx reply without a result, unless it is a web page, an empty list or an error. Any
    other error status means that nothing was made, and the vendor does not charge for failed
    requests. Polls and downloads make nothing.
    """
    match reply:
        case NetworkFault():
            facts = facts_of_fault(reply, model=model, phase=phase)
        case HttpResponse() if reply.status in OK:
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
            facts = facts_of_unusable(result, reply, model=model, phase=phase, now=now)
        case HttpResponse():
            facts = facts_of_error(reply, model=model, phase=phase, now=now)
        case _:
            assert_never(reply)
    return _decide(facts, settings)


def _poll_after_s(
    result: Finished | Pending, reply: HttpResponse, settings: RetrySettings, now: datetime
) -> float | None:
    """Return the seconds until the next poll if the provider gives them, else None."""
    if not isinstance(result, Pending):
        return None
    asked_s = poll_wait_s(reply, now)
    return None if asked_s is None else min(asked_s, settings.max_wait_s)


def _decide(facts: Facts, settings: RetrySettings) -> Decision:
    entry = next(entry for entry in BUILT_IN if entry.matches(facts))
    rule = next((rule for rule in settings.rules if _matches(rule, facts)), None)
    # A header does not overrule the job.
    verb = rule.verb if rule else _apply_should_retry(entry, facts)
    message, after_s = facts.message, None
    if verb is Verb.RETRY:
        asked_s = facts.wait_s
        rule_s = rule.after_s if rule else None
        after_s = rule_s if asked_s is None else min(asked_s, settings.max_wait_s)
        if asked_s is not None and asked_s > settings.max_wait_s:
            message += f" (asked to wait {asked_s:.0f} s,{CAPPED}{settings.max_wait_s:.0f} s)"
    return Decision(
        verb,
        rule.kind if rule else entry.kind,
        code=facts.code,
        message=message,
        http_status=facts.http_status,
        request_id=request_id(facts.headers),
        after_s=after_s,
        # A rate limit applies to the whole model, even if a rule of the job decided to retry.
        hold=verb is Verb.RETRY and entry.hold,
        probe=rule is None and (entry.probe or entry.halt_after is not None),
        attempts=rule.attempts if rule else entry.attempts,
        sent=facts.sent and facts.phase is Phase.SUBMIT,
    )


def _matches(rule: Rule, facts: Facts) -> bool:
    text = f"{facts.code or ''}\n{facts.message}".casefold()
    return (
        _kind_matches(rule, facts)
        and (rule.phases is None or facts.phase in rule.phases)
        and (rule.model is None or _is_like(facts.model, rule.model))
        and (rule.code is None or any(_is_like(code, rule.code) for code in _codes(facts)))
        and (not rule.text or any(words.casefold() in text for words in rule.text))
    )


def _kind_matches(rule: Rule, facts: Facts) -> bool:
    if rule.statuses is None and rule.faults is None:
        return True
    by_status = rule.statuses is not None and (
        facts.status in rule.statuses or facts.http_status in rule.statuses
    )
    return by_status or (rule.faults is not None and facts.fault in rule.faults)


def _codes(facts: Facts) -> tuple[str, ...]:
    """Return the codes that a rule's `code` is compared with, and what a 2xx reply lacks."""
    kinds = ["bad_response"] if facts.shape in _NO_RESULT else []
    kinds += ["remote_failed"] if facts.is_error and facts.http_status in OK else []
    return (*((facts.code,) if facts.code else ()), *facts.codes, facts.shape, *kinds)


def _is_like(word: str, pattern: str) -> bool:
    # Only `*` and `?` are wildcards; a bracket is literal.
    return bool(word) and fnmatchcase(word.casefold(), pattern.casefold().replace("[", "[[]"))


def _apply_should_retry(entry: Entry, facts: Facts) -> Verb:
    """Obey `x-should-retry`, as OpenAI's own client does, except for halts and refusals.

    It is ignored for polls and downloads: what they ask for is paid for.
    """
    if facts.phase is not Phase.SUBMIT:
        return entry.verb
    should_retry = facts.headers.get("x-should-retry", "").strip().casefold()
    if should_retry == "false" and entry.verb is Verb.RETRY:
        return Verb.FAIL
    if should_retry == "true" and entry.verb is Verb.FAIL and facts.status in ERROR:
        return Verb.RETRY
    return entry.verb
