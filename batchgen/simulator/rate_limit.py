"""The limits on requests: a token bucket, and the number in flight."""

import math
from collections.abc import Callable, Mapping

from batchgen.simulator.requests.rejection import Rejection
from batchgen.simulator.settings import SimulatorSettings

_IN_FLIGHT_WAIT_S = 1.0


class TokenBucket:
    """A token bucket: `rpm` requests per minute, bursts of `burst` (default: one second's)."""

    def __init__(
        self, rpm: float, monotonic: Callable[[], float], *, burst: float | None = None
    ) -> None:
        self._per_second = rpm / 60
        self._capacity = max(1.0, self._per_second if burst is None else burst)
        self._monotonic = monotonic
        self._tokens = self._capacity
        self._filled_at = monotonic()

    def take(self) -> float:
        """Take a token and return 0, or return the seconds until there is one and take none."""
        now = self._monotonic()
        self._tokens += (now - self._filled_at) * self._per_second
        self._tokens = min(self._tokens, self._capacity)
        self._filled_at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self._per_second

    def headers(self) -> Mapping[str, str]:
        """Return OpenAI's rate limit headers; the reset is the time until the bucket is full."""
        reset_s = (self._capacity - self._tokens) / self._per_second
        return {
            "x-ratelimit-limit-requests": f"{self._capacity:.0f}",
            "x-ratelimit-remaining-requests": f"{math.floor(self._tokens)}",
            "x-ratelimit-reset-requests": f"{reset_s * 1000:.0f}ms",
        }


def retry_after(wait_s: float) -> dict[str, str]:
    """Return the `Retry-After` header; in whole seconds (RFC 9110, 10.2.3)."""
    return {"Retry-After": str(max(1, math.ceil(wait_s)))}


class RateLimiter:
    """Enforces the limits of the settings."""

    def __init__(self, settings: SimulatorSettings, monotonic: Callable[[], float]) -> None:
        self._limit_headers = settings.limit_headers
        self._max_in_flight = settings.max_in_flight
        self._bucket = (
            None
            if settings.rpm is None
            else TokenBucket(settings.rpm, monotonic, burst=settings.burst)
        )

    def admit(self, in_flight: int) -> Mapping[str, str]:
        """Admit a request and return the rate limit headers.

        in_flight: requests in flight, this one included. Raise Rejection (429) above a limit.
        """
        if self._max_in_flight is not None and in_flight > self._max_in_flight:
            self._reject(_IN_FLIGHT_WAIT_S)
        if self._bucket is None:
            return {}
        wait_s = self._bucket.take()
        if wait_s:
            self._reject(wait_s)
        return self._bucket.headers() if self._limit_headers else {}

    def _reject(self, wait_s: float) -> None:
        raise Rejection(429, headers=retry_after(wait_s) if self._limit_headers else {})
