"""Read the facts about a reply that the table is compared with. Pure."""

from datetime import datetime

from batchgen.engine.decisions.entry import OK, REDIRECT, Facts
from batchgen.provider.endpoints.errors import ProviderError, read_error, sanitize
from batchgen.provider.endpoints.success_errors import find_success_error, shape_of
from batchgen.provider.endpoints.topics import plain_text
from batchgen.provider.endpoints.waits import poll_wait_s, requested_wait_s
from batchgen.types import HttpResponse, NetworkFault, Phase, Unusable

# A gateway timed out: the generation behind it may have been made and billed.
_GATEWAY_TIMEOUTS = frozenset({504, 524})
_JUDGED = frozenset({"content_policy", "remote_failed"})  # by the endpoint's adapter
_FREE = frozenset({"empty", "web_page", *_JUDGED})  # shapes of replies that made nothing


def facts_of_fault(fault: NetworkFault, *, model: str, phase: Phase) -> Facts:
    """Return the facts about a request without a complete reply."""
    message = sanitize(fault.message)
    return Facts(model, phase, message, fault=fault.kind, text=plain_text(message), sent=fault.sent)


def facts_of_unusable(
    result: Unusable, reply: HttpResponse, *, model: str, phase: Phase, now: datetime
) -> Facts:
    """Return the facts about a 2xx reply in which the adapter found no result."""
    error = None
    if phase is Phase.SUBMIT and result.kind != "content_policy" and not reply.undecodable:
        error = find_success_error(reply)
    if error is not None:
        return _facts(error, reply, model=model, phase=phase, now=now)
    shape = result.kind
    if shape == "bad_response":
        shape = "unknown" if reply.undecodable else shape_of(reply)
    message = sanitize(result.message)
    if shape == "web_page":
        title = read_error(reply).message
        message = f"the body is not JSON but a web page ({sanitize(title, 80)}); check base_url"
    return Facts(
        model,
        phase,
        message,
        status=reply.status,
        http_status=reply.status,
        code=result.code,
        codes=(result.code,) if result.code else (),
        text=plain_text(message),
        shape=shape,
        sent=shape not in _FREE,
        headers=reply.headers,
        wait_s=poll_wait_s(reply, now),
    )


def facts_of_error(reply: HttpResponse, *, model: str, phase: Phase, now: datetime) -> Facts:
    """Return the facts about a reply with another status than 2xx."""
    return _facts(read_error(reply), reply, model=model, phase=phase, now=now)


def _facts(
    error: ProviderError, reply: HttpResponse, *, model: str, phase: Phase, now: datetime
) -> Facts:
    status = (error.status or reply.status) if reply.status in OK else reply.status
    return Facts(
        model,
        phase,
        _redirect_message(reply, phase) if status in REDIRECT else error.message,
        status=status,
        http_status=reply.status,
        code=error.code,
        codes=error.codes or ((error.code,) if error.code else ()),
        text=plain_text(error.message),
        is_error=True,
        sent=status in _GATEWAY_TIMEOUTS,
        headers=reply.headers,
        wait_s=requested_wait_s(reply, now, error.status),
    )


def _redirect_message(reply: HttpResponse, phase: Phase) -> str:
    target = sanitize(reply.headers.get("location", "").partition("?")[0], 200) or "nowhere"
    message = f"HTTP {reply.status} redirects to {target}"
    if phase is Phase.DOWNLOAD:
        return message
    return f"{message}; set the provider's base URL to the API's own address"
