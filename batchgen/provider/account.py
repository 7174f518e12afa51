"""Prices, key state and balance of the account, read from the provider before a run.

The vendor documented these endpoints later than the images API, and other providers do not have
them: a missing or unreadable reply is reported, but it is not an error.
"""

import asyncio
from collections.abc import Mapping

import msgspec

from batchgen.errors import StorageError, UsageError
from batchgen.http.service import Service, Transport
from batchgen.job import Access, Limits, Provider
from batchgen.job.money import Quote
from batchgen.provider.endpoints.errors import read_error, read_json
from batchgen.provider.pricing import QUOTES_PATH, read_quotes
from batchgen.text import show_money
from batchgen.types import HttpRequest, HttpResponse, Json, PayloadSink

_OK = 200


def service_of(provider: Provider, access: Access, limits: Limits) -> Service:
    """Return the connection settings for a job's provider."""
    return Service(
        provider.base_url,
        access.key,
        tuple(filter(None, (provider.idempotency_header, provider.client_id_header))),
        limits.timeout_s,
        limits.timeouts,
        headers=access.headers,
        secrets=access.secrets,
        proxies=access.proxies,
        ca_bundles=access.ca_bundles,
    )


class Unavailable(msgspec.Struct, frozen=True):
    """The reason why the provider gave no usable reply."""

    reason: str


def live_quotes(service: Service) -> dict[str, Quote] | Unavailable:
    """Return the provider's current prices, by model id and alias."""
    from batchgen.http.transport import AiohttpTransport  # noqa: PLC0415  # imports aiohttp

    async def fetch() -> "Json | Unavailable":
        async with AiohttpTransport(service, connections=1, open_sink=_no_sink) as transport:
            return await get_json(transport, QUOTES_PATH)

    body = asyncio.run(fetch())
    if isinstance(body, Unavailable):
        return body
    return read_quotes(body) or Unavailable("no image prices in the reply")


async def preflight(transport: Transport, cost_usd: float) -> list[str]:
    """Return warnings about the key and the balance for a job with this estimate in USD.

    Raise UsageError if the key is disabled.
    """
    key, billing = await asyncio.gather(
        get_json(transport, "/v1/key"), get_json(transport, "/v2/billing")
    )
    return [*_key_warnings(key), *_balance_warnings(billing, cost_usd)]


def _key_warnings(body: "Json | Unavailable") -> list[str]:
    if isinstance(body, Unavailable):
        return [f"preflight: the key's state is unknown: {body.reason}"]
    key = _object(_object(body).get("data")) or _object(body)
    if key.get("disabled") is True:
        raise UsageError("the provider reports that this key is disabled; use another key")
    scopes = key.get("scopes")
    if isinstance(scopes, list) and scopes and "model:image" not in scopes:
        return ["preflight: the key does not have the scope model:image; requests may be refused"]
    return []


def _balance_warnings(body: "Json | Unavailable", cost_usd: float) -> list[str]:
    if isinstance(body, Unavailable):
        return [f"preflight: the balance is unknown: {body.reason}"]
    billing = _object(body)
    balance = billing.get("current_balance", billing.get("balance"))
    try:
        usd = float(balance) if isinstance(balance, int | float | str) else None
    except ValueError:
        usd = None
    if usd is None:
        return ["preflight: the balance is unknown: not in the reply"]
    if usd >= cost_usd:
        return []
    return [
        (
            f"preflight: the balance of {show_money(usd)} is below the job's estimate of"
            f" {show_money(cost_usd)}; top it up, or the run will halt when it is spent"
        )
    ]


async def get_json(transport: Transport, path: str) -> "Json | Unavailable":
    """Return the JSON body of a GET request, or why there is none."""
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
    raise StorageError("the provider's price list contains a file")
