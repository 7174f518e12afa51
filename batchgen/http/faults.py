"""Network errors as faults: why there is no reply, and whether the request may have been sent."""

import aiohttp

from batchgen.http.client import UnsendableError
from batchgen.http.deadlines import Deadline
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


def network_fault(error: Exception, deadline: Deadline) -> NetworkFault:
    """Return why there is no reply, and whether the request may have been sent."""
    sent = deadline.is_sent and not isinstance(error, UnsendableError)
    if isinstance(error, TimeoutError) and not sent:
        return NetworkFault(FaultKind.TIMEOUT, "no connection in time", sent=False)
    for kind, fault, message in _FAULTS:
        if isinstance(error, kind):
            return NetworkFault(fault, message, sent=sent)
    return NetworkFault(FaultKind.CONNECTION, str(error) or type(error).__name__, sent=sent)


def download_fault(error: Exception, deadline: Deadline) -> NetworkFault:
    """Return why a file could not be fetched; UNSAFE_URL if its address is forbidden."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ForbiddenAddressError):
            return NetworkFault(FaultKind.UNSAFE_URL, str(cause), sent=False)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    return network_fault(error, deadline)
