"""How long a model may be refused without one accepted request, until the run halts. Pure."""

_LONGEST_S = 900.0  # longer than the windows of rate limits per minute, with all their waits
# The wording leaves open whether the credit is used up, and nothing was ever accepted.
_LONGEST_IN_DOUBT_S = 30.0
_LONGEST_IN_DOUBT_AFTER_SUCCESS_S = 120.0
_MIN_REFUSALS = 5
_MAX_PROBE_WAIT_S = 16.0


class RefusalWatch:
    """The refusals of one model since its last accepted request."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._refusals = 0
        self._in_doubt = 0
        self._was_accepted = False

    def record_accepted(self) -> None:
        """Forget the refusals: requests are accepted."""
        self._since = None
        self._refusals = self._in_doubt = 0
        self._was_accepted = True

    def record_refused(self, now: float, *, wait_s: float, in_doubt: bool) -> None:
        """Count a refusal. wait_s: what the provider asks for, which is not held against it."""
        self._since = now if self._since is None else self._since
        if wait_s > _LONGEST_S / _MIN_REFUSALS:
            self._since += wait_s
        self._refusals += 1
        self._in_doubt += in_doubt

    def probe_wait_s(self) -> float:
        """Return the seconds until the next request, while it is in doubt whether waiting helps."""
        return min(_MAX_PROBE_WAIT_S, 2.0 ** min(10, self._in_doubt - 1)) if self._in_doubt else 0.0

    def is_spent(self, now: float) -> bool:
        """Return whether the doubt has lasted so long that the credit must be used up."""
        if self._since is None or self._in_doubt < _MIN_REFUSALS:
            return False
        longest = _LONGEST_IN_DOUBT_AFTER_SUCCESS_S if self._was_accepted else _LONGEST_IN_DOUBT_S
        return self._in_doubt == self._refusals and now - self._since >= longest

    def is_endless(self, now: float) -> bool:
        """Return whether the model has been refused for so long that the run should halt."""
        if self._since is None or self._refusals < _MIN_REFUSALS:
            return False
        return now - self._since >= _LONGEST_S
