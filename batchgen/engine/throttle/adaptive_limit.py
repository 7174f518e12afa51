"""An adaptive limit, learned from accepted and refused requests. Pure.

Every request that is accepted under the limit raises it a little; a refusal sets it just below the
measured value. The increase is slow near the last refusal, so that refusals stay rare. Well above
it the increase accelerates, so that a limit that the server has raised is found.
"""

import math

AFTER_REFUSAL = 0.985  # of the measured limit: just below it
_CYCLE_INCREASE = 0.03  # over a cycle: from just below the limit to just above it
_MIN_CYCLE = 200  # accepted requests between two refusals
_CYCLE_PER_PAUSE = 100  # the length of a cycle, in pauses after a refusal
_CLEARLY_ABOVE = 1.02  # times the last refusal: the server must have raised its limit
_MAX_INCREASE = 0.1
_INCREASE_DIVISOR = 4.0
_DOUBLINGS = 10  # of the increase, in a cycle above the last refusal
_REDUCED = 0.75  # of the maximum
_MAX_SLOPE = 0.7  # of 1/value: the value at most doubles per second, or per round of replies


class AdaptiveLimit:
    """The number of requests, per second or in flight, that a server accepts.

    maximum: the value until something is refused. minimum: the value never falls below it.
    after_refusal: the share of the measured limit that is used after a refusal.
    """

    def __init__(
        self,
        maximum: float = math.inf,
        *,
        minimum: float = 0.0,
        after_refusal: float = AFTER_REFUSAL,
    ) -> None:
        self.value = maximum
        self._after_refusal = after_refusal
        self._maximum = maximum
        self._minimum = minimum
        self._refused_at = maximum
        self._increase = _MAX_INCREASE
        self._cycle = float(_MIN_CYCLE)

    @property
    def is_learned(self) -> bool:
        """Whether refusals have set the value below the maximum."""
        return self.value < self._maximum

    @property
    def is_reduced(self) -> bool:
        """Whether refusals have set the value well below the maximum."""
        return self.value <= _REDUCED * self._maximum and self.is_learned

    def record_accepted(self) -> None:
        """Raise the value: a request that had waited for this limit was accepted."""
        if not self.is_learned:
            return
        if self.value > _CLEARLY_ABOVE * self._refused_at:
            self._increase = min(_MAX_INCREASE, self._increase * 2 ** (_DOUBLINGS / self._cycle))
        increase = min(self._increase, _MAX_SLOPE / self.value)
        self.value = min(self._maximum, self.value * (1 + increase))

    def record_refused(self, measured: float, *, lost_per_pause: float = 0.0) -> None:
        """Lower the value after a refusal; `measured` is what the server has accepted.

        lost_per_pause: requests that could have been sent in the pause after a refusal.
        """
        self._cycle = max(_MIN_CYCLE, _CYCLE_PER_PAUSE * lost_per_pause)
        self.slow_increase()
        self._refused_at = max(self._minimum, min(self.value, measured))
        self.value = max(self._minimum, self._refused_at * self._after_refusal)

    def slow_increase(self) -> None:
        """Raise the value more slowly from now on."""
        self._increase = max(_CYCLE_INCREASE / self._cycle, self._increase / _INCREASE_DIVISOR)

    def is_far_too_high(self, accepted: int) -> bool:
        """Return whether a refusal after this many accepted requests shows a much lower limit."""
        return accepted < self._cycle / 8

    def is_unexpected(self, accepted: int) -> bool:
        """Return whether a refusal after this many accepted requests is earlier than a cycle."""
        return accepted < self._cycle

    def restore(self, value: float) -> None:
        """Return to an earlier value: the refusals since then had another cause."""
        self.value = self._refused_at = min(value, self._maximum)
        if not self.is_learned:
            self._increase = _MAX_INCREASE

    def set_maximum(self, maximum: float) -> None:
        """Change the upper bound; a lower value that was learned stays."""
        if not self.is_learned or self.value > maximum:
            self.value = maximum
        self._maximum = maximum

    def reset(self) -> None:
        """Forget what was learned: the refusals had another cause."""
        self.value = self._refused_at = self._maximum
        self._increase = _MAX_INCREASE
