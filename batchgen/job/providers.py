"""Providers: those that are known, and those that a job file adds."""

import re
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from batchgen.job import keys
from batchgen.job.keys import Place, Reading
from batchgen.text import did_you_mean, one_line
from batchgen.types import FAMILIES, Json


class Provider(msgspec.Struct, frozen=True):
    """A base URL with its key variables and habits.

    catalog: whose model table applies (`aimlapi` or `openai`).
    key_variables: environment variables that may hold the key.
    needs_key: whether nothing is sent without one.
    client_id_header: a second header that carries the idempotency key, for the usage log.
    headers: of every request; `${NAME}` in a value is a variable of the environment.
    paths: where an API family answers, where that is not its usual path.
    ca_file: certificates that are trusted besides the system's.
    insecure: plain http is allowed to public hosts.
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
    ca_file: Path | None = None
    insecure: bool = False

    def key(self, environment: Mapping[str, str]) -> str | None:
        """The key from the first variable that holds one."""
        for variable in self.key_variables:
            if value := environment.get(variable, "").strip():
                return value
        return None


SIMULATOR = "simulator"

# Key variables: FACTS section 1 (vendor's integration pages); base URLs: the vendors' specs.
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
_PATH = re.compile(r"/[A-Za-z0-9._~!$&'()*+,;=:@%/-]+")
_SECRET = re.compile(r"auth|key|token|secret|cookie", re.IGNORECASE)
_OWN_HEADERS = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "accept-encoding"}
)
_NAME_IT = "it is the name of an environment variable such as LAB_API_KEY, never the key itself"


class Wish(msgspec.Struct, frozen=True):
    """What flags say of the provider; None is not given."""

    name: str | None
    base_url: str | None
    api_key_env: str | None


def read_provider(found: Mapping[str, Any], wish: Wish, reading: Reading) -> Provider:
    """The provider that flags or the job file name, out of the known ones and the file's own.

    found: the job file's checked keys. What is wrong is noted in `reading`.
    """
    own: Mapping[str, Json] = found.get("providers") or {}
    known = dict(PROVIDERS)
    for name, value in own.items():
        if provider := _own_provider(name, value, reading):
            known[name] = provider
    name = wish.name or found.get("provider") or "aimlapi"
    if name in known:
        return _redirected(known[name], wish, reading)
    if name not in own:  # else what is wrong with it is told already
        hint = did_you_mean(name, known)
        right = f"did you mean `{hint}`?" if hint else f"the providers are {', '.join(known)}"
        message = f"unknown provider `{one_line(name, 60)}`; {right}"
        if wish.name:
            reading.refuse_flag("--provider", message)
        else:
            reading.complain(("provider",), message)
    return PROVIDERS["aimlapi"]


def _redirected(provider: Provider, wish: Wish, reading: Reading) -> Provider:
    if wish.base_url:
        if problem := bad_base_url(wish.base_url, insecure=provider.insecure):
            reading.refuse_flag("--base-url", problem)
        if provider.name == SIMULATOR:
            provider = replace(PROVIDERS["aimlapi"], name="custom")
        provider = replace(provider, base_url=wish.base_url)
    if wish.api_key_env:
        if not _VARIABLE.fullmatch(wish.api_key_env):
            reading.refuse_flag("--api-key-env", _NAME_IT)
        provider = replace(provider, key_variables=(wish.api_key_env,), needs_key=True)
    return provider


def _own_provider(name: str, value: Json, reading: Reading) -> Provider | None:
    place: Place = ("providers", name)
    found: dict[str, Any] = reading.section(value, keys.PROVIDER, place)
    variable = found.get("api_key_env") or f"{re.sub('[^A-Za-z0-9]', '_', name).upper()}_API_KEY"
    wrong = [*_faults(name, found), *_header_faults(found), *_path_faults(found)]
    for key, message in wrong:
        reading.complain((*place, *key), message)
    if wrong or "base_url" not in found:
        return None
    return Provider(
        name,
        found["base_url"],
        (variable,),
        needs_key="api_key_env" in found,
        catalog=found.get("catalog", "aimlapi"),
        idempotency_header=found.get("idempotency_header", "Idempotency-Key") or None,
        client_id_header=found.get("client_id_header") or None,
        headers=found.get("headers") or {},
        paths=found.get("paths") or {},
        ca_file=reading.path(found["ca_file"]) if "ca_file" in found else None,
        insecure=found.get("insecure", False),
    )


def _faults(name: str, found: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    if name in PROVIDERS:
        yield (), f"provider `{name}` is built in; give yours another name, or use --base-url"
    if "base_url" not in found:
        yield (), f"provider `{name}` needs a `base_url`"
    elif problem := bad_base_url(found["base_url"], insecure=found.get("insecure", False)):
        yield ("base_url",), f"`base_url`: {problem}"
    variable = found.get("api_key_env")
    if variable is not None and not _VARIABLE.fullmatch(variable):
        yield ("api_key_env",), f"`api_key_env`: {_NAME_IT}"


def is_sendable(value: str) -> bool:
    """Whether a text can be a header's value."""
    return value.isascii() and value.isprintable()


def _header_faults(found: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for name, value in (found.get("headers") or {}).items():
        place: Place = ("headers", name)
        shown = f"`headers.{one_line(str(name), 60)}`"
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            yield place, f"{shown} is no header's name"
        elif name.lower() in _OWN_HEADERS:
            yield place, f"{shown} is set by the connection itself; leave it out"
        elif not isinstance(value, str):
            yield place, f"{shown}: its value is not a text; put it in quotes"
        elif not is_sendable(value):
            yield place, f"{shown}: its value has characters that no header has"
        elif _SECRET.search(name) and "${" not in value:
            yield place, f"{shown} holds a secret: name its variable, as in {name}: ${{LAB_KEY}}"


def _path_faults(found: Mapping[str, Any]) -> Iterator[tuple[Place, str]]:
    for name, path in (found.get("paths") or {}).items():
        place: Place = ("paths", name)
        if name not in FAMILIES:
            known = ", ".join(FAMILIES)
            yield place, f"`paths.{one_line(str(name), 60)}` is no endpoint; they are {known}"
        elif not isinstance(path, str) or not _PATH.fullmatch(path):
            yield place, f"`paths.{name}` is not a path below the host, such as /v1/img"


_PRIVATE_ENDINGS = (".localhost", ".local", ".internal")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")  # some resolvers take these for addresses


def bad_base_url(url: str, *, insecure: bool = False) -> str | None:
    """What is wrong with a base URL; one that may hold a secret is not shown.

    insecure: plain http is allowed to any host.
    """
    if "@" in url or "?" in url or "#" in url:
        return "a URL must hold no key, password or query: name the key's variable in `api_key_env`"
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:  # brackets and ports that are none
        sound = False
    if not sound or any(character.isspace() for character in url):
        return f"`{one_line(url, 80)}` is not an http(s) URL such as https://host/v1"
    if parts.scheme == "http" and not insecure and not is_private_host(parts.hostname or ""):
        return (
            f"`{one_line(url, 80)}` would send the key unprotected; https:// is right, or"
            " `insecure: true` for a provider of the job's own"
        )
    return None


def is_private_host(host: str) -> bool:
    """Whether a host is loopback or private as its name says; nothing is resolved.

    A name is private as localhost, under .local or .internal, or when it is a single label.
    """
    host = host.lower().rstrip(".")
    try:
        return not ip_address(host.partition("%")[0]).is_global
    except ValueError:
        single = "." not in host and ":" not in host and not _NUMBER.fullmatch(host)
        return single or host.endswith(_PRIVATE_ENDINGS)
