"""How long a model may be refused without one accepted request, until the run halts. Pure."""

import math

from batchgen.engine.throttle.feedback import Feedback, Signal

_LONGEST_S = 900.0  # longer than the windows of rate limits per minute, with all their waits
# The wording leaves open whether the credit is used up, and nothing was ever accepted.
_LONGEST_IN_DOUBT_S = 45.0
_LONGEST_IN_DOUBT_AFTER_SUCCESS_S = 120.0
_MIN_REFUSALS = 5
_MAX_PROBE_WAIT_S = 16.0
_LONG_WAIT_S = 180.0  # a longer one that the provider asks for is not held against it


class RefusalWatch:
    """The refusals of one model since its last accepted request."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._refusals = 0
        self._in_doubt = 0
        self._was_accepted = False
        self._in_doubt_since = math.inf
        self._probes = 0
        self._probed_at = -math.inf
        self._asked_until = 0.0

    @property
    def begins_to_doubt(self) -> bool:
        """Whether the last refusal is the first that leaves open whether waiting helps."""
        return self._in_doubt == 1

    def record_accepted(self, sent_at: float) -> bool:
        """Forget the refusals: requests are accepted; return whether they are.

        sent_at: monotonic seconds. A request that was sent before the first refusal that leaves
        open whether waiting helps does not answer that question.
        """
        self._was_accepted = True
        if sent_at < self._in_doubt_since < math.inf:
            return False
        self._since = None
        self._refusals = self._in_doubt = self._probes = 0
        self._in_doubt_since = math.inf
        return True

    def record_refused(self, now: float, *, sent_at: float, wait_s: float, in_doubt: bool) -> None:
        """Count a refusal of a request that was sent at `sent_at`; times are monotonic seconds.

        wait_s: what the provider asks for.
        """
        self._since = now if self._since is None else self._since
        if wait_s > _LONG_WAIT_S:  # it is not held against the provider
            self._since += max(0.0, now + wait_s - max(now, self._asked_until))
            self._asked_until = max(self._asked_until, now + wait_s)
        self._refusals += 1
        if in_doubt:
            self._in_doubt += 1
            self._in_doubt_since = min(self._in_doubt_since, now)
            if sent_at >= self._probed_at:  # requests that were in flight together count once
                self._probes += 1
                self._probed_at = now

    def probe_wait_s(self) -> float:
        """Return the seconds until the next request, while it is in doubt whether waiting helps."""
        return min(_MAX_PROBE_WAIT_S, 2.0 ** min(10, self._probes - 1)) if self._probes else 0.0

    def feedback_of_doubt(self, feedback: Feedback) -> Feedback:
        """Return what a refusal reveals about the rate: nothing if it answers a later probe."""
        return feedback if self._probes == 1 else Feedback(Signal.NONE)

    def is_spent(self, now: float) -> bool:
        """Return whether the doubt has lasted so long that the credit must be used up."""
        if self._since is None or self._probes < _MIN_REFUSALS:
            return False
        longest = _LONGEST_IN_DOUBT_AFTER_SUCCESS_S if self._was_accepted else _LONGEST_IN_DOUBT_S
        return self._in_doubt == self._refusals and now - self._since >= longest

    def is_endless(self, now: float) -> bool:
        """Return whether the model has been refused for so long that the run should halt."""
        if self._since is None or self._refusals < _MIN_REFUSALS:
            return False
        return now - self._since >= _LONGEST_S
