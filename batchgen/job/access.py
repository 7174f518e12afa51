"""Read keys, header values and proxies from environment variables; they are never printed."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from batchgen.errors import UsageError
from batchgen.job.providers import Provider, is_sendable

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_MIN_SECRET_LENGTH = 6  # characters; a shorter one may be a part of ordinary words
_PROXIES = ("http", "https", "all", "no")


@dataclass(frozen=True, slots=True)
class Access:
    """Secrets of a run; `repr` prints none of them.

    headers: the headers of the job's provider, with variables replaced by their values.
    proxies: by `http`, `https`, `all` and `no`, from HTTP_PROXY and so on.
    secrets: texts that are removed from replies before these are printed or stored.
    """

    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def access_of(provider: Provider, environment: Mapping[str, str]) -> Access:
    """Return a provider's secrets; raise UsageError if a variable is missing or invalid."""
    key = _key(provider, environment)
    headers = {
        name: _header(provider, name, value, environment)
        for name, value in provider.headers.items()
    }
    named = (name for value in provider.headers.values() for name in VARIABLE.findall(value))
    secrets = (key or "", *(environment[name].strip() for name in named))
    return Access(
        key,
        headers,
        dict(_proxies(environment)),
        tuple(secret for secret in secrets if len(secret) >= _MIN_SECRET_LENGTH),
    )


def _key(provider: Provider, environment: Mapping[str, str]) -> str | None:
    key = provider.key(environment)
    if key is None and provider.needs_key:
        first, *others = provider.key_variables
        either = f" (or {' or '.join(others)})" if others else ""
        raise UsageError(
            f"no key for {provider.name}: set {first}{either} in the environment, or try the"
            " simulator, which needs no key: --provider simulator"
        )
    if key is not None and not is_sendable(key):
        raise UsageError(f"the key for {provider.name} has characters that a key cannot have")
    return key


def _header(provider: Provider, name: str, value: str, environment: Mapping[str, str]) -> str:
    place = f"`providers.{provider.name}.headers.{name}`"
    for variable in VARIABLE.findall(value):
        if not environment.get(variable, "").strip():
            raise UsageError(f"{place} needs ${{{variable}}}: set {variable} in the environment")
    filled = VARIABLE.sub(lambda match: environment[match[1]].strip(), value)
    if not is_sendable(filled):
        raise UsageError(f"{place}: the value has characters that a header cannot have")
    return filled


def _proxies(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield the proxies as curl reads them: lower case wins.

    In a CGI script HTTP_PROXY is a header of the request, so only http_proxy is read.
    """
    for name in _PROXIES:
        variable = f"{name}_proxy"
        upper_case = "" if name == "http" and "REQUEST_METHOD" in environment else variable.upper()
        value = environment.get(variable, environment.get(upper_case, "")).strip()
        if not value:
            continue
        if name != "no":
            value = value if "://" in value else f"http://{value}"
            if urlsplit(value).scheme not in ("http", "https"):
                raise UsageError(f"{variable.upper()} is not an http or https proxy")
        yield name, value
