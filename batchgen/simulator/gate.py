"""Rate and concurrency limits of the API."""

from collections.abc import Callable, Mapping

from batchgen.simulator.bucket import Bucket, retry_after
from batchgen.simulator.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings

_CROWDED_S = 1.0


class Gate:
    """Enforces the limits of the settings."""

    def __init__(self, settings: SimulatorSettings, monotonic: Callable[[], float]) -> None:
        self._sends_limits = settings.tell_limits
        self._most = settings.most_in_flight
        self._bucket = (
            None if settings.rpm is None else Bucket(settings.rpm, monotonic, burst=settings.burst)
        )

    def enter(self, in_flight: int) -> Mapping[str, str]:
        """Admit a request and return the rate limit headers.

        in_flight: requests in flight, this one included. Raise Rejection (429) above a limit.
        """
        if self._most is not None and in_flight > self._most:
            self._reject(_CROWDED_S)
        if self._bucket is None:
            return {}
        wait_s = self._bucket.take()
        if wait_s:
            self._reject(wait_s)
        return self._bucket.headers() if self._sends_limits else {}

    def _reject(self, wait_s: float) -> None:
        raise Rejection(429, headers=retry_after(wait_s) if self._sends_limits else {})
