"""A limit that nobody tells, learned from what a server accepts and what it refuses.

Between refusals the value rises a little with everything that is accepted under it; at a refusal
it falls to just below what was measured. The rise is slow near the last refusal, so that refusals
stay rare, and ever faster beyond it, so that a limit that was raised is found. Pure.
"""

import math

FALL = 0.985  # just below the measured limit
_RISE = 0.03  # over a cycle: from just below the limit to just above it
_CYCLE = 200  # accepted requests between two refusals, at least
_PAUSES = 100  # a pause costs its length: a cycle lasts so many times as long
_CLEAR = 1.02  # so far above the last refusal the limit must have been raised
_SEARCH = 0.1
_NARROWER = 4.0
_DOUBLINGS = 10  # of the rise in a cycle, where the limit is somewhere else
_CUT = 0.75
_STEEPEST = 0.7  # of 1/value: twofold in a second (rates), or with every reply (windows)


class Limit:
    """What may be asked of a server.

    value: `most` as long as nothing was refused. least: it never falls below. fall: the share of
    what was measured that is asked for after a refusal.
    """

    def __init__(self, most: float = math.inf, *, least: float = 0.0, fall: float = FALL) -> None:
        self.value = most
        self._fall = fall
        self._most = most
        self._least = least
        self._refused_at = most
        self._rise = _SEARCH
        self._cycle = float(_CYCLE)

    @property
    def is_learned(self) -> bool:
        """Whether a refusal has set it below what was allowed."""
        return self.value < self._most

    @property
    def is_cut(self) -> bool:
        """Whether refusals have set it well below what was allowed."""
        return self.value <= _CUT * self._most and self.is_learned

    def accepted(self) -> None:
        """One more was accepted while this limit was what kept it waiting."""
        if not self.is_learned:
            return
        if self.value > _CLEAR * self._refused_at:
            self._rise = min(_SEARCH, self._rise * 2 ** (_DOUBLINGS / self._cycle))
        rise = min(self._rise, _STEEPEST / self.value)
        self.value = min(self._most, self.value * (1 + rise))

    def refused(self, measured: float, *, each_pause: float = 0.0) -> None:
        """It was too much; `measured` is what the server has taken.

        each_pause: how many could have been sent in the pause that a refusal brings.
        """
        self._cycle = max(_CYCLE, _PAUSES * each_pause)
        self.unknown_spend()
        self._refused_at = max(self._least, min(self.value, measured))
        self.value = max(self._least, self._refused_at * self._fall)

    def unknown_spend(self) -> None:
        """Rise more carefully."""
        self._rise = max(_RISE / self._cycle, self._rise / _NARROWER)

    def is_early(self, accepted: int) -> bool:
        """Whether a refusal after so many accepted ones means that the limit is elsewhere."""
        return accepted < self._cycle / 8

    def is_soon(self, accepted: int) -> bool:
        """Whether a refusal after so many accepted ones comes sooner than the rise brings it."""
        return accepted < self._cycle

    def restore(self, value: float) -> None:
        """The refusals since it had this value were about something else."""
        self.value = self._refused_at = min(value, self._most)
        if not self.is_learned:
            self._rise = _SEARCH

    def allow(self, most: float) -> None:
        """Take another upper bound; what was learned below it stays."""
        if not self.is_learned or self.value > most:
            self.value = most
        self._most = most

    def forget(self) -> None:
        """What was learned was about something else."""
        self.value = self._refused_at = self._most
        self._rise = _SEARCH
