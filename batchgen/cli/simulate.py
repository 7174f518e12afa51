"""`batchgen simulate`: run the simulator in the foreground."""

import argparse
import asyncio
import signal
import sys
from typing import TYPE_CHECKING

from batchgen.errors import Exit

if TYPE_CHECKING:
    from batchgen.simulator.settings import SimulatorSettings


def simulate_command(arguments: argparse.Namespace) -> int:
    """Serve the simulated API until SIGINT or SIGTERM."""
    asyncio.run(_serve(_settings_of(arguments)))
    return Exit.OK


def _settings_of(arguments: argparse.Namespace) -> "SimulatorSettings":
    from batchgen.simulator.settings import SimulatorSettings, parse_faults, parse_latency  # noqa: PLC0415  # imports Pillow: slow

    refused = frozenset(word.lower() for word in arguments.refuse or ())
    return SimulatorSettings(
        latency=parse_latency(arguments.latency),
        job_duration=parse_latency(arguments.work),
        url_lifetime_s=arguments.expiry,
        faults=parse_faults(arguments.faults),
        rpm=arguments.rpm,
        seed=arguments.seed,
        port=arguments.port,
        burst=arguments.burst,
        max_in_flight=arguments.max_in_flight,
        limit_headers=not arguments.no_limit_headers,
        credit=arguments.credit,
        balance_usd=arguments.balance,
        refuse_words=refused or SimulatorSettings().refuse_words,
        honour_idempotency=not arguments.no_idempotency,
    )


async def _serve(settings: "SimulatorSettings") -> None:
    from batchgen.simulator.server import Simulator  # noqa: PLC0415  # as above

    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with Simulator(settings) as simulator:
        sys.stderr.write(
            f"simulated API at {simulator.base_url} (any API key is valid; Ctrl-C stops it)\n"
        )
        await ended.wait()
