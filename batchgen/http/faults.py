"""Network errors as faults: why there is no reply, and whether the request may have been sent."""

import re
from http import HTTPStatus

import aiohttp
from msgspec.structs import replace
from yarl import URL

from batchgen.http.certificates import NO_TLS, tls_problem
from batchgen.http.client import UnsendableError
from batchgen.http.deadlines import Deadline
from batchgen.http.head_first import HugeHeadError
from batchgen.http.ssrf import ForbiddenAddressError
from batchgen.types import FaultKind, NetworkFault

# The first match counts; any other error is a connection error with its own message.
_FAULTS: tuple[tuple[type[Exception], FaultKind, str], ...] = (
    (TimeoutError, FaultKind.TIMEOUT, "no complete reply in time"),
    (aiohttp.ClientPayloadError, FaultKind.CONNECTION, "the reply was cut short"),
    (aiohttp.ServerDisconnectedError, FaultKind.CONNECTION, "closed without a reply"),
    (aiohttp.ClientResponseError, FaultKind.BAD_RESPONSE, "the reply is not valid HTTP"),
    (aiohttp.InvalidURL, FaultKind.BAD_RESPONSE, "not a URL that can be fetched"),
)
_HUGE_HEADER = re.compile(r"Got more than [0-9]+ bytes|Too many headers")  # aiohttp's messages
_NEEDS_PASSWORD = 407  # only a proxy sends it
# A proxy's answers to CONNECT that may be different the next time.
_PASSING = frozenset({408, 429, 500, 502, 503, 504})


def network_fault(
    error: Exception, deadline: Deadline, *, proxy: str | None = None
) -> NetworkFault:
    """Return why there is no reply, and whether the request may have been sent.

    proxy: the URL of the proxy that the request was for; None if the connection is direct.
    """
    sent = deadline.is_sent and not isinstance(error, UnsendableError)
    fault = None if sent else _connect_fault(error, deadline, proxy)
    if fault is not None:
        return fault
    if deadline.is_broken:
        message = "the body of the reply is not valid HTTP"
        return NetworkFault(FaultKind.CONNECTION, message, sent=sent)
    if isinstance(error, HugeHeadError):
        return NetworkFault(FaultKind.UNREADABLE, str(error), sent=sent)
    if isinstance(error, aiohttp.ClientResponseError) and _HUGE_HEADER.search(error.message):
        message = "a header of the reply is over 64 KB, or there are too many"
        return NetworkFault(FaultKind.UNREADABLE, message, sent=sent)
    for fault_of, kind, message in _FAULTS:
        if isinstance(error, fault_of):
            return NetworkFault(kind, message, sent=sent)
    return NetworkFault(FaultKind.CONNECTION, str(error) or type(error).__name__, sent=sent)


def download_fault(
    error: Exception, deadline: Deadline, *, proxy: str | None = None
) -> NetworkFault:
    """Return why a file could not be fetched; UNSAFE_URL if its address is forbidden."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return NetworkFault(FaultKind.UNSAFE_URL, str(cause), sent=False)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    fault = network_fault(error, deadline, proxy=proxy)
    if isinstance(error, aiohttp.ClientHttpProxyError) and error.status != _NEEDS_PASSWORD:
        return replace(fault, kind=FaultKind.CONNECTION)  # it may refuse this host only
    return fault


def _connect_fault(error: Exception, deadline: Deadline, proxy: str | None) -> NetworkFault | None:
    """Return why there is no connection; None if another error was the reason."""
    if problem := tls_problem(error):
        return NetworkFault(FaultKind.TLS, problem, sent=False)
    is_timeout = isinstance(error, TimeoutError)
    kind = FaultKind.TIMEOUT if is_timeout else FaultKind.CONNECTION
    if deadline.is_handshaking and isinstance(error, OSError):
        what = "no answer to the TLS handshake in time" if is_timeout else "closed during TLS setup"
        return NetworkFault(kind, f"{what}; {NO_TLS}", sent=False)
    if proxy is not None and (fault := _proxy_fault(error, proxy)):
        return fault
    return NetworkFault(kind, "no connection in time", sent=False) if is_timeout else None


def http_proxy_fault(status: int, url: URL, proxy: str | None) -> NetworkFault | None:
    """Return the fault if the reply is one of the proxy of a plain http request, else None."""
    if proxy is None or url.scheme != "http" or status != _NEEDS_PASSWORD:
        return None
    return _proxy_refusal(status, proxy)


def _proxy_refusal(status: int, proxy: str) -> NetworkFault:
    """Return the fault of a proxy that refuses to pass a request on, by its status."""
    known = status in set(HTTPStatus)
    phrase = f" {HTTPStatus(status).phrase}" if known else ""
    message = f"the proxy {_proxy_name(proxy)} answered {status}{phrase}"
    if status in _PASSING:
        return NetworkFault(FaultKind.CONNECTION, message, sent=False)
    if status == _NEEDS_PASSWORD:
        message += "; give its user name and password in HTTPS_PROXY or HTTP_PROXY"
    else:
        message += "; have it allow this host, or exempt the host with NO_PROXY"
    return NetworkFault(FaultKind.PROXY, message, sent=False)


def _proxy_name(proxy: str) -> str:
    """Return a proxy's host and port, without its user name and password."""
    url = URL(proxy)
    return f"{url.host_subcomponent}:{url.port}"


def _proxy_fault(error: Exception, proxy: str) -> NetworkFault | None:
    """Return the fault of a connection that a proxy did not make; None if it is not the proxy's."""
    name = _proxy_name(proxy)
    match error:
        case aiohttp.ClientHttpProxyError():
            return _proxy_refusal(error.status, proxy)
        case aiohttp.ClientProxyConnectionError():
            message = f"no connection to the proxy {name}: {error.os_error.strerror or 'closed'}"
        case aiohttp.ClientResponseError():
            message = f"the answer of the proxy {name} is not valid HTTP"
        case aiohttp.ClientConnectorError():
            return None
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            message = f"the proxy {name} closed the connection without an answer"
        case TimeoutError():
            message = f"no connection through the proxy {name} in time"
            return NetworkFault(FaultKind.TIMEOUT, message, sent=False)
        case _:
            return None
    return NetworkFault(FaultKind.CONNECTION, message, sent=False)
