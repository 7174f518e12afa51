"""Which certificates are trusted, and what to do about one that is not."""

import ssl
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import aiohttp

from batchgen.errors import UsageError
from batchgen.http.deadlines import DEADLINE

# https://docs.openssl.org/3.0/man1/openssl-verification-options/
_EXPIRED, _NOT_YET_VALID = 10, 9
_WRONG_HOST = frozenset({62, 64})
_HOW_TO_TRUST = (
    "name a file with its issuer's certificate in `providers.NAME.ca_file`, SSL_CERT_FILE or"
    " REQUESTS_CA_BUNDLE"
)
_NO_TLS_REASONS = frozenset(
    {
        *("WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST", "UNKNOWN_PROTOCOL"),
        *("RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "UNEXPECTED_MESSAGE"),
    }
)
NO_TLS = "if the port speaks no TLS, use http:// in its URL"


class _Handshake(ssl.SSLObject):
    """A TLS connection that reports the beginning of its handshake to the request's deadline."""

    def do_handshake(self) -> None:
        with suppress(LookupError):
            DEADLINE.get().is_handshaking = True
        super().do_handshake()


def tls_settings(bundles: Iterable[tuple[str, Path]], *, is_https: bool) -> ssl.SSLContext | bool:
    """Return aiohttp's `ssl` argument.

    bundles: files and folders of certificates that are trusted besides the system's, each with the
        name of its setting.
    is_https: whether the API is at an https URL; else aiohttp's own settings are enough.
    Raises UsageError if one cannot be read or has no certificates.
    """
    if not bundles and not is_https:
        return True
    context = ssl.create_default_context()
    context.sslobject_class = _Handshake
    for name, path in bundles:
        try:
            if path.is_dir():
                next(path.iterdir(), None)  # OpenSSL ignores a folder that it cannot read
                context.load_verify_locations(capath=path)
            else:
                context.load_verify_locations(cafile=path)
        except OSError as error:  # an ssl.SSLError is one
            raise UsageError(f"`{name}` {path}: {_reading_problem(error)}") from error
    return context


def _reading_problem(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return "the file has no PEM certificates"
    if isinstance(error, FileNotFoundError):
        return "the file does not exist"
    return f"the file cannot be read: {error.strerror}"


def tls_problem(error: Exception) -> str | None:
    """Return what is wrong with a TLS connection, and what to do; None for other errors."""
    match error:
        case aiohttp.ClientConnectorCertificateError():
            problem = _certificate_problem(error.certificate_error)
        case aiohttp.ClientConnectorSSLError():
            problem = _protocol_problem(error.os_error)
        case _:
            return None
    return f"TLS connection to {error.host}:{error.port}: {problem}"


def _certificate_problem(error: Exception) -> str:
    code = getattr(error, "verify_code", None)
    reason = getattr(error, "verify_message", "") or str(error)
    if code in (_NOT_YET_VALID, _EXPIRED):
        advice = f"have it renewed, check this machine's clock, or {_HOW_TO_TRUST}"
    elif code in _WRONG_HOST:
        advice = f"use the name that the certificate is for in the URL, or {_HOW_TO_TRUST}"
    else:
        advice = f"if the server is the right one, {_HOW_TO_TRUST}"
    return f"the certificate is not trusted ({reason}); {advice}"


def _protocol_problem(error: OSError) -> str:
    reason = getattr(error, "reason", None) or type(error).__name__
    text = str(reason).replace("_", " ").lower()
    if reason in _NO_TLS_REASONS:
        return f"the server does not answer with TLS ({text}); {NO_TLS}"
    return f"no agreement with the server ({text}); {NO_TLS}"
