"""Whether a server refuses because of how many requests are in flight, or of how many came. Pure.

A 429 tells neither. But where only the number in flight counts, no request is ever accepted at
the level at which another was refused; where a token bucket counts, levels mean nothing.
"""

_KNOWN = 20  # accepted requests before anything is concluded
_REMEMBERED = 200
_NEAR = 0.95  # replies on their way make levels a little uncertain
_MANY = 10
_CERTAIN = 2  # a bucket refuses the highest level too, now and then


class Levels:
    """The numbers in flight at which requests were accepted and refused."""

    def __init__(self) -> None:
        self._count = 0
        self._highest = 0
        self._highest_before = 0
        self._certainty = 0

    def accepted(self, level: int) -> None:
        """A request was accepted while so many were in flight, itself among them."""
        self._count += 1
        self._highest = max(self._highest, level)
        if self._count % _REMEMBERED == 0:
            self._highest, self._highest_before = 0, self._highest

    def refused(self, level: int) -> bool:
        """Count a refusal; tell whether the number in flight is what the server goes by."""
        highest = max(self._highest, self._highest_before)
        near = _NEAR * highest if highest >= _MANY else highest + 1
        crowded = level >= near and self._count >= _KNOWN
        self._certainty = self._certainty + 1 if crowded else 0
        return self._certainty >= _CERTAIN
