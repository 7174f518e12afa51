"""Tells refusals that come at any pace from those that mean it. Pure.

A server that was out of room and has then taken so many in a time bears that many in it. If it
refuses again although less is sent, the pace is not why, and to slow down further would never end.
Such strays are passed over from then on, as long as there are not many more of them.
"""

from batchgen.engine.throttle.rate import Ticket

_ENOUGH = 5  # accepted requests before anything is concluded
_BELOW = 0.95  # of what was borne; nearer to it may be an error of measurement
_MORE = 2.0  # times the known share is more than strays
_UNSEEN = 2  # refusals more that a row may well have had
_CHANCE = 5  # refusals beyond that, which chance may bring
_WINDOW = 100  # requests
_LARGEST_SHARE = 0.25
_RAREST = 0.0025  # a share that is as good as none


class FalseAlarms:
    """Follows a row of refusals that come soon after each other, and the strays once known."""

    def __init__(self) -> None:
        self._before: float | None = None  # the pace ahead of the row; None outside of one
        self._began_at = self._last_at = 0.0
        self._first = 0  # the serial of the first request after the row began
        self._accepted = self._refused = 0
        self._borne = 0.0
        self._share = 0.0  # of requests that are refused at any pace
        self._from = 0  # the window's first serial
        self._passed = 0
        self._counted = 0  # the serial of the last refusal
        self._excess = 0.0  # refusals beyond those that the share explains
        self._cut = False  # the window follows a cut, in which all refusals are strays

    @property
    def known(self) -> bool:
        """Whether refusals are known to come at any pace."""
        return self._share >= _RAREST

    @property
    def many(self) -> bool:
        """Whether there were more of them lately than their share explains."""
        return self._excess > _CHANCE / 2

    def accepted(self, ticket: Ticket) -> None:
        """A request was accepted."""
        if self._before is None or ticket.serial < self._first:
            return
        self._accepted += 1
        self._last_at = max(self._last_at, ticket.sent_at)
        if self._accepted >= _ENOUGH and self._last_at > self._began_at:
            rate = (self._accepted - 1) / (self._last_at - self._began_at)
            self._borne = max(self._borne, rate)

    def explain(self, ticket: Ticket, *, unlimited: bool) -> bool:
        """Count a refusal; tell whether it is a stray, as far as those are known.

        unlimited: no limit of the server is known.
        """
        if not self.known:
            return False
        sent = ticket.serial - self._from
        if sent >= _WINDOW:
            self._learn(self._passed / sent, surely=unlimited or self._cut)
            self._open_window(ticket.serial, cut=False)
        self._passed += 1
        since = max(0, ticket.serial - self._counted)  # replies may come out of their order
        self._counted += since
        self._excess = max(0.0, self._excess - _MORE * self._share * since) + 1
        return self._excess <= _CHANCE

    def believed(
        self, ticket: Ticket, pace: float, *, next_serial: int, soon: bool
    ) -> float | None:
        """A refusal that no known stray explains came at this pace.

        next_serial: of the next request to be sent. soon: after fewer accepted requests than lie
        between two refusals of a limit. Gives the pace from before the row where the row proves
        that the pace is not why; else None.
        """
        self._open_window(ticket.serial, cut=True)
        self._counted, self._excess = ticket.serial, 0.0
        if not soon:
            self._before = None
        elif self._before is None:
            self._begin(ticket, pace, next_serial)
        else:
            self._refused += 1
            if pace < _BELOW * self._borne:
                return self._conclude(ticket)
        return None

    def _begin(self, ticket: Ticket, pace: float, next_serial: int) -> None:
        self._before = pace
        self._began_at = self._last_at = ticket.sent_at
        self._first = next_serial  # those on their way may have come ahead of the refused one
        self._accepted = self._refused = 0
        self._borne = 0.0

    def _conclude(self, ticket: Ticket) -> float | None:
        share = (self._refused + _UNSEEN) / (1 + ticket.serial - self._first)
        self._share = min(_LARGEST_SHARE, share)
        before, self._before = self._before, None
        return before

    def _open_window(self, serial: int, *, cut: bool) -> None:
        self._from, self._passed, self._cut = serial, 0, cut

    def _learn(self, share: float, *, surely: bool) -> None:
        most = _LARGEST_SHARE if surely else self._share
        self._share = min(most, (self._share + share) / 2)
