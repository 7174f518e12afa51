"""What the provider tells of prices, the key and the balance, asked before anything is sent.

All of these were documented later than the images API (FACTS section 7), and other providers do
not have them: whatever is missing or unreadable is told, never an error.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from batchgen.errors import StorageError, UsageError
from batchgen.http.service import Service, Transport
from batchgen.job import Access, Limits, Provider
from batchgen.job.money import Quote
from batchgen.provider.endpoints.errors import read_error, read_json
from batchgen.provider.pricing import PATH, read_quotes
from batchgen.text import show_money
from batchgen.types import HttpRequest, HttpResponse, Json, PayloadSink

_OK = 200


def service_of(provider: Provider, access: Access, limits: Limits) -> Service:
    """The provider as the transport sees it."""
    return Service(
        provider.base_url,
        access.key,
        tuple(filter(None, (provider.idempotency_header, provider.client_id_header))),
        limits.timeout_s,
        limits.timeouts,
        headers=access.headers,
        secrets=access.secrets,
        proxies=access.proxies,
        ca_file=provider.ca_file,
    )


class Unavailable(msgspec.Struct, frozen=True):
    """Why a question has no answer."""

    reason: str


def live_quotes(service: Service) -> dict[str, Quote] | Unavailable:
    """What the provider charges now, by model."""
    from batchgen.http.transport import AiohttpTransport  # noqa: PLC0415  # brings aiohttp

    async def run() -> "Json | Unavailable":
        async with AiohttpTransport(service, connections=1, open_sink=_no_sink) as transport:
            return await ask(transport, PATH)

    answer = asyncio.run(run())
    if isinstance(answer, Unavailable):
        return answer
    return read_quotes(answer) or Unavailable("it tells no price of an image")


async def preflight(transport: Transport, cost_usd: float) -> list[str]:
    """What a person should know of key and balance before a job of this price.

    Raises UsageError where the key is disabled.
    """
    key, billing = await asyncio.gather(ask(transport, "/v1/key"), ask(transport, "/v2/billing"))
    return [*_about_key(key), *_about_balance(billing, cost_usd)]


def _about_key(key: "Json | Unavailable") -> list[str]:
    if isinstance(key, Unavailable):
        return [f"preflight: the key's state is unknown: {key.reason}"]
    own = _object(_object(key).get("data")) or _object(key)
    if own.get("disabled") is True:
        raise UsageError("the provider says that this key is disabled: use another one")
    scopes = own.get("scopes")
    if isinstance(scopes, list) and scopes and "model:image" not in scopes:
        return ["preflight: the key's scopes do not have model:image; requests may be refused"]
    return []


def _about_balance(billing: "Json | Unavailable", cost_usd: float) -> list[str]:
    if isinstance(billing, Unavailable):
        return [f"preflight: the balance is unknown: {billing.reason}"]
    own = _object(billing)
    balance = own.get("current_balance", own.get("balance"))
    try:
        usd = float(balance) if isinstance(balance, int | float | str) else None
    except ValueError:
        usd = None
    if usd is None:
        return ["preflight: the balance is unknown: the reply tells none"]
    if usd >= cost_usd:
        return []
    return [
        (
            f"preflight: the balance of {show_money(usd)} is below the job's estimate of"
            f" {show_money(cost_usd)}; top it up, or the run will halt when it is spent"
        )
    ]


async def ask(transport: Transport, path: str) -> "Json | Unavailable":
    """The JSON that the provider answers a GET with, or why there is none."""
    reply = await transport.send(HttpRequest("GET", path, {}), "")
    if not isinstance(reply, HttpResponse):
        return Unavailable(reply.message)
    if reply.status != _OK:
        return Unavailable(f"HTTP {reply.status}: {read_error(reply).message}")
    try:
        return read_json(reply.body)
    except ValueError:
        return Unavailable("the reply is not JSON")


def _object(value: Json) -> Mapping[str, Json]:
    return value if isinstance(value, dict) else {}


def _no_sink() -> PayloadSink:
    raise StorageError("the provider's answer holds a file where prices were asked for")
