"""What the environment gives a run: the provider's key, header values, proxies; never shown."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from batchgen.errors import UsageError
from batchgen.job.providers import Provider, is_sendable

VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_LEAST_SECRET = 6  # characters; cutting out shorter ones would tear words apart
_PROXIES = ("http", "https", "all", "no")


@dataclass(frozen=True, slots=True)
class Access:
    """Secrets of a run; `repr` shows none of them.

    headers: the provider's own headers with their values filled in.
    proxies: `http`, `https`, `all` and `no`, as the variables HTTP_PROXY and so on have them.
    secrets: what is cut out of replies before anything of them is shown or kept.
    """

    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def access_of(provider: Provider, environment: Mapping[str, str]) -> Access:
    """What the environment holds for a provider; UsageError names the variable that is missing."""
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
        tuple(secret for secret in secrets if len(secret) >= _LEAST_SECRET),
    )


def _key(provider: Provider, environment: Mapping[str, str]) -> str | None:
    key = provider.key(environment)
    if key is None and provider.needs_key:
        first, *others = provider.key_variables
        either = f" (or {' or '.join(others)})" if others else ""
        raise UsageError(
            f"no key for {provider.name}: set {first}{either} in the environment, or try it"
            " without one: --provider simulator"
        )
    if key is not None and not is_sendable(key):
        raise UsageError(f"the key for {provider.name} has characters that no key has")
    return key


def _header(provider: Provider, name: str, value: str, environment: Mapping[str, str]) -> str:
    where = f"`providers.{provider.name}.headers.{name}`"
    for variable in VARIABLE.findall(value):
        if not environment.get(variable, "").strip():
            raise UsageError(f"{where} needs ${{{variable}}}: set {variable} in the environment")
    filled = VARIABLE.sub(lambda found: environment[found[1]].strip(), value)
    if not is_sendable(filled):
        raise UsageError(f"{where}: its value has characters that no header has")
    return filled


def _proxies(environment: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """As curl reads them: the small letters win, HTTP_PROXY is no CGI script's `Proxy:` header."""
    for name in _PROXIES:
        variable = f"{name}_proxy"
        loud = "" if name == "http" and "REQUEST_METHOD" in environment else variable.upper()
        value = environment.get(variable, environment.get(loud, "")).strip()
        if not value:
            continue
        if name != "no":
            value = value if "://" in value else f"http://{value}"
            if urlsplit(value).scheme not in ("http", "https"):
                raise UsageError(f"{variable.upper()} is no http or https proxy; others cannot be")
        yield name, value
