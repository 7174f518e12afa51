"""The built-in providers, those of a job file, and the choice of the one that a job uses."""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from batchgen.job import keys
from batchgen.job.key_in_url import key_in_query
from batchgen.job.keys import KeyPath, SectionReader
from batchgen.job.remote_jobs import RemoteJobs, read_remote_jobs
from batchgen.text import did_you_mean, one_line
from batchgen.types import FAMILIES, Json


class Provider(msgspec.Struct, frozen=True):
    """A base URL with its key variables and its differences from other providers.

    catalog: whose catalogue of models applies (`aimlapi` or `openai`).
    key_variables: environment variables that may hold the key; the first one set counts.
    needs_key: whether a run without a key is an error.
    client_id_header: a second header that carries the idempotency key, for the usage log.
    headers: of every request; `${NAME}` in a value is an environment variable.
    paths: by API family, if its path is not the usual one.
    jobs: how a service that replies with the id of a job is polled; None if it does not.
    ca_file: certificates that are trusted besides the system's.
    insecure: whether plain http to public hosts is allowed.
    other_variables: environment variables with secrets of the job's other providers.
    place: file and line of the provider, for messages; empty if it is built in.
    """

    name: str
    base_url: str
    key_variables: tuple[str, ...]
    needs_key: bool = True
    catalog: str = "aimlapi"
    idempotency_header: str | None = "Idempotency-Key"
    client_id_header: str | None = None
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    paths: Mapping[str, str] = msgspec.field(default_factory=dict)
    jobs: RemoteJobs | None = None
    ca_file: Path | None = None
    insecure: bool = False
    other_variables: tuple[str, ...] = ()
    place: str = ""

    @property
    def secret_variables(self) -> tuple[str, ...]:
        """Return the names of all environment variables that may hold a secret."""
        built_in = (name for other in PROVIDERS.values() for name in other.key_variables)
        return tuple(dict.fromkeys((*self.own_variables, *self.other_variables, *built_in)))

    @property
    def own_variables(self) -> tuple[str, ...]:
        """Return the names of the variables of the key and of the headers."""
        named = (name for value in self.headers.values() for name in VARIABLE.findall(value))
        return (*self.key_variables, *named)

    def key(self, environment: Mapping[str, str]) -> str | None:
        """Return the key from the first variable that holds one; None if there is none."""
        for variable in self.key_variables:
            if value := environment.get(variable, "").strip():
                return value
        return None


SIMULATOR = "simulator"
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")

# Key variables: the vendors' integration pages; base URLs: the vendors' specs.
PROVIDERS: Mapping[str, Provider] = {
    "aimlapi": Provider(
        "aimlapi",
        "https://api.aimlapi.com/v1",
        ("AIMLAPI_API_KEY", "AIMLAPI_KEY", "AIML_API_KEY"),
        client_id_header="X-Client-Request-Id",
    ),
    "openai": Provider(
        "openai", "https://api.openai.com/v1", ("OPENAI_API_KEY",), catalog="openai"
    ),
    SIMULATOR: Provider(SIMULATOR, "", (), needs_key=False, client_id_header="X-Client-Request-Id"),
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_HEADER = re.compile(r"[A-Za-z0-9_-]+")
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+(?:\?[A-Za-z0-9._~!$&'()*+,;=:@%/-]+)?")
_QUERY = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@%/-]+")
_SECRET = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_OWN_HEADERS = frozenset(
    {
        *("host", "connection", "expect", "accept-encoding"),
        *("content-length", "content-type", "transfer-encoding"),
    }
)
_VARIABLE_ADVICE = (
    "give the name of an environment variable such as LAB_API_KEY, not the key itself"
)


class ProviderFlags(msgspec.Struct, frozen=True):
    """The flags of the command that choose the provider; None if not given."""

    name: str | None
    base_url: str | None
    api_key_env: str | None


def read_provider(
    section: Mapping[str, Any], flags: ProviderFlags, reader: SectionReader
) -> Provider:
    """Return the provider that flags or the job file choose, built in or of the job file.

    section: the job file's checked keys. Problems are added to `reader`.
    """
    own: Mapping[str, Json] = section.get("providers") or {}
    known = dict(PROVIDERS)
    for name, value in own.items():
        if provider := _own_provider(name, value, reader):
            known[name] = provider
    name = flags.name or section.get("provider") or "aimlapi"
    if name in known:
        others = (known[other] for other in own if other in known)
        variables = tuple(name for other in others for name in other.own_variables)
        return _redirected(replace(known[name], other_variables=variables), flags, reader)
    if name not in own:  # else its problems are reported already
        hint = did_you_mean(name, known)
        advice = f"did you mean `{hint}`?" if hint else f"the providers are {', '.join(known)}"
        message = f"unknown provider `{one_line(name, 60)}`; {advice}"
        if flags.name:
            reader.add_flag_problem("--provider", message)
        else:
            reader.add_problem(("provider",), message)
    return PROVIDERS["aimlapi"]


def _redirected(provider: Provider, flags: ProviderFlags, reader: SectionReader) -> Provider:
    if flags.base_url:
        if problem := base_url_problem(flags.base_url, insecure=provider.insecure):
            reader.add_flag_problem("--base-url", problem)
        if provider.name == SIMULATOR:
            provider = replace(PROVIDERS["aimlapi"], name="custom")
        provider = replace(provider, base_url=flags.base_url)
    if flags.api_key_env:
        if not _VARIABLE.fullmatch(flags.api_key_env):
            reader.add_flag_problem("--api-key-env", _VARIABLE_ADVICE)
        provider = replace(provider, key_variables=(flags.api_key_env,), needs_key=True)
    return provider


def _own_provider(name: str, value: Json, reader: SectionReader) -> Provider | None:
    path: KeyPath = ("providers", name)
    section: dict[str, Any] = reader.section(value, keys.PROVIDER, path)
    variable = section.get("api_key_env") or f"{re.sub('[^A-Za-z0-9]', '_', name).upper()}_API_KEY"
    problems = [*_key_problems(name, section), *_header_problems(section), *_path_problems(section)]
    for key, message in problems:
        reader.add_problem((*path, *key), message)
    jobs = read_remote_jobs(section.get("jobs"), (*path, "jobs"), reader)
    if problems or "base_url" not in section:
        return None
    return Provider(
        name,
        section["base_url"],
        (variable,),
        needs_key="api_key_env" in section,
        catalog=section.get("catalog", "aimlapi"),
        idempotency_header=section.get("idempotency_header", "Idempotency-Key") or None,
        client_id_header=section.get("client_id_header") or None,
        headers=section.get("headers") or {},
        paths=section.get("paths") or {},
        jobs=jobs,
        ca_file=reader.path(section["ca_file"]) if "ca_file" in section else None,
        insecure=section.get("insecure", False),
        place=reader.place(path),
    )


def _key_problems(name: str, section: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    if name in PROVIDERS:
        yield (), f"provider `{name}` is built in; rename yours, or use --base-url"
    if "base_url" not in section:
        yield (), f"provider `{name}` needs a `base_url`"
    elif problem := base_url_problem(section["base_url"], insecure=section.get("insecure", False)):
        yield ("base_url",), f"`base_url`: {problem}"
    variable = section.get("api_key_env")
    if variable is not None and not _VARIABLE.fullmatch(variable):
        yield ("api_key_env",), f"`api_key_env`: {_VARIABLE_ADVICE}"


def is_sendable(value: str) -> bool:
    """Return whether a text can be the value of a header."""
    return value.isascii() and value.isprintable()


def _header_problems(section: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for name, value in (section.get("headers") or {}).items():
        path: KeyPath = ("headers", name)
        label = f"`headers.{one_line(str(name), 60)}`"
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            yield path, f"{label} is not a valid header name"
        elif name.lower() in _OWN_HEADERS:
            yield path, f"{label} is set by the HTTP client; remove it"
        elif not isinstance(value, str):
            yield path, f"{label}: the value is not a text; put it in quotes"
        elif not is_sendable(value):
            yield path, f"{label}: the value has characters that a header cannot have"
        elif _SECRET.search(name) and "${" not in value:
            yield path, f"{label} holds a secret: use a variable, as in {name}: ${{LAB_KEY}}"


def _path_problems(section: Mapping[str, Any]) -> Iterator[tuple[KeyPath, str]]:
    for name, value in (section.get("paths") or {}).items():
        path: KeyPath = ("paths", name)
        if name not in FAMILIES:
            known = ", ".join(FAMILIES)
            yield path, f"`paths.{one_line(str(name), 60)}` is not an endpoint; they are {known}"
        elif not isinstance(value, str) or not _PATH.fullmatch(value):
            yield path, f"`paths.{name}` is not a path below the host, such as /v1/img"
        elif (parameter := key_in_query(value)) is not None:
            yield path, f"`paths.{name}`: {_key_advice(parameter)}"


_PRIVATE_ENDINGS = (".localhost", ".local", ".internal")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # some resolvers read these as addresses


def base_url_problem(url: str, *, insecure: bool = False) -> str | None:
    """Return the problem of a base URL, or None; a URL that may hold a secret is not repeated.

    insecure: whether plain http is allowed to any host.
    """
    address, mark, query = url.partition("?")
    if "@" in address or "#" in url:
        return "a URL must not contain a key, password or fragment; name the key's variable instead"
    if (parameter := key_in_query(url)) is not None:
        return _key_advice(parameter)
    if mark and not _QUERY.fullmatch(query):
        return "the query of a URL has parameters such as ?api-version=2024-10-21"
    try:
        parts = urlsplit(url)
        is_valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # invalid brackets or port
        is_valid = False
    if not is_valid or any(character.isspace() for character in url):
        return f"`{one_line(url, 80)}` is not an http(s) URL such as https://host/v1"
    if parts.scheme == "http" and not insecure and not is_private_host(parts.hostname or ""):
        return (
            f"`{one_line(url, 80)}` would send the key unencrypted; use https://, or"
            " `insecure: true` for a provider of the job file"
        )
    return None


def _key_advice(parameter: str) -> str:
    return (
        f"the parameter `{one_line(parameter, 60)}` looks like a key, which must not be in a URL;"
        " send it with `api_key_env`, or in `headers` as in api-key: ${LAB_KEY}"
    )


def is_private_host(host: str) -> bool:
    """Return whether a host is loopback or private by its name; nothing is resolved.

    A name is private if it is localhost, ends in .local or .internal, or is a single label.
    """
    host = host.lower().rstrip(".")
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        single = "." not in host and ":" not in host and not _NUMBER.fullmatch(host)
        return single or host.endswith(_PRIVATE_ENDINGS)
