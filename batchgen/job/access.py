"""Read keys, header values and proxies from environment variables; they are never printed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from batchgen.errors import UsageError
from batchgen.job.key_in_url import variable_in_urls
from batchgen.job.providers import VARIABLE, Provider, is_sendable

_PROXIES = ("http", "https", "all", "no")
# OpenSSL's, requests' and curl's variables: a file or folder of certificates; a list of folders.
_BUNDLES = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")
_FOLDERS = "SSL_CERT_DIR"


@dataclass(frozen=True, slots=True)
class Access:
    """Secrets of a run; `repr` prints none of them.

    headers: the headers of the job's provider, with variables replaced by their values.
    proxies: by `http`, `https`, `all` and `no`, from HTTP_PROXY and so on.
    secrets: texts that are removed from replies before these are printed or stored: the values of
        all key variables that the job knows, and the passwords of proxies.
    secret_variables: the environment variables that may hold secrets.
    ca_bundles: the provider's file and those of the environment, each with the name of its setting;
        the variables count for an https provider only.
    """

    key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    proxies: Mapping[str, str] = field(default_factory=dict, repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    secret_variables: tuple[str, ...] = ()
    ca_bundles: tuple[tuple[str, Path], ...] = ()


def access_of(provider: Provider, environment: Mapping[str, str]) -> Access:
    """Return a provider's secrets; raise UsageError if a variable is missing or invalid.

    Raise UsageError too if a URL of the provider contains the value of a key variable.
    """
    refuse_keys_in_urls(provider, environment)
    key = _key(provider, environment)
    headers = {
        name: _header(provider, name, value, environment)
        for name, value in provider.headers.items()
    }
    proxies = dict(_proxies(environment))
    values = (environment.get(name, "").strip() for name in provider.secret_variables)
    passwords = (password for proxy in proxies.values() for password in _passwords(proxy))
    return Access(
        key,
        headers,
        proxies,
        tuple(dict.fromkeys(filter(None, (*values, *passwords)))),
        provider.secret_variables,
        tuple(_ca_bundles(provider, environment)),
    )


def refuse_keys_in_urls(provider: Provider, environment: Mapping[str, str]) -> None:
    """Raise UsageError if a URL of the provider contains the value of a key variable."""
    urls = {"base_url": provider.base_url}
    urls |= {f"paths.{name}": path for name, path in provider.paths.items()}
    found = variable_in_urls(urls, provider.secret_variables, environment)
    if found is not None:
        label, variable = found
        place = (
            f"{provider.place}: `providers.{provider.name}.{label}`" if provider.place else label
        )
        raise UsageError(
            f"{place} contains the key of {variable}, which must not be in a URL; send it with"
            " `api_key_env`, or in `headers`"
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


def _ca_bundles(provider: Provider, environment: Mapping[str, str]) -> Iterator[tuple[str, Path]]:
    if provider.ca_file is not None:
        yield f"providers.{provider.name}.ca_file", provider.ca_file
    if not provider.base_url.lower().startswith("https:"):
        return
    for variable in _BUNDLES:
        if path := environment.get(variable, "").strip():
            yield variable, Path(path)
    for path in environment.get(_FOLDERS, "").split(os.pathsep):
        if path and Path(path).is_dir():  # OpenSSL ignores those that do not exist
            yield _FOLDERS, Path(path)


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
            if not _is_proxy(value):
                raise UsageError(
                    f"{variable.upper()} is not an http or https proxy such as http://host:8080"
                )
        yield name, value


def _passwords(proxy: str) -> Iterator[str]:
    """Yield the password in a proxy's URL, as it is written and as it is sent."""
    before = proxy.rpartition("@")[0]
    password = before.rpartition("://")[2].partition(":")[2]
    yield from (password, unquote(password))


def _is_proxy(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # invalid brackets or port
        return False
