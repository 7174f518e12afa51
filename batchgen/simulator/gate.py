"""Which requests are let in at all: so many a minute, and so many at one time."""

from collections.abc import Callable, Mapping

from batchgen.simulator.bucket import Bucket, retry_after
from batchgen.simulator.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings

_CROWDED_S = 1.0


class Gate:
    """Keeps to the limits that the settings give."""

    def __init__(self, settings: SimulatorSettings, monotonic: Callable[[], float]) -> None:
        self._tells = settings.tell_limits
        self._most = settings.most_in_flight
        self._bucket = (
            None if settings.rpm is None else Bucket(settings.rpm, monotonic, burst=settings.burst)
        )

    def enter(self, in_flight: int) -> Mapping[str, str]:
        """Let a request in, `in_flight` with it; the headers that tell what is left.

        Raises Rejection (429).
        """
        if self._most is not None and in_flight > self._most:
            self._turn_away(_CROWDED_S)
        if self._bucket is None:
            return {}
        wait_s = self._bucket.take()
        if wait_s:
            self._turn_away(wait_s)
        return self._bucket.told() if self._tells else {}

    def _turn_away(self, wait_s: float) -> None:
        raise Rejection(429, headers=retry_after(wait_s) if self._tells else {})
