"""A loopback server that behaves like the AI/ML API, faults included.

It knows the API from the vendor's specs and pages by its own reading and shares nothing with the
endpoints and the catalogue, so that a wrong one of those is not checked against itself.
"""

from batchgen.simulator.server import Simulator
from batchgen.simulator.settings import (
    Latency,
    SimulatorSettings,
    parse_faults,
    parse_latency,
)

__all__ = ["Latency", "Simulator", "SimulatorSettings", "parse_faults", "parse_latency"]
