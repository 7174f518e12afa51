"""Detect refusals that do not depend on the rate. Pure.

A server that has accepted a rate supports that rate. If it refuses again at a lower one, the rate
is not the cause, and lowering it further would never end. Such refusals are false alarms: they are
ignored from then on, until there are many more of them than before.
"""

from batchgen.engine.throttle.rate import Ticket

_MIN_ACCEPTED = 5  # requests, before a rate counts as accepted
_BELOW = 0.95  # of the accepted rate; closer to it may be an error of measurement
_TOLERANCE = 2.0  # times the known share; it explains refusals up to that
_UNCOUNTED = 2  # refusals that a series may have had besides those counted
_CHANCE = 5  # refusals beyond the share that may be chance
_WINDOW = 100  # requests
_MAX_SHARE = 0.25
_MIN_SHARE = 0.0025  # a smaller share counts as none


class FalseAlarms:
    """The share of requests that are refused at any rate, found in series of early refusals."""

    def __init__(self) -> None:
        self._rate_before: float | None = None  # of the current series; None outside of one
        self._series_began_at = self._last_at = 0.0
        self._series_serial = 0  # of the first request after the series began
        self._accepted = self._refused = 0
        self._accepted_rate = 0.0
        self._share = 0.0  # of requests that are refused at any rate
        self._window_serial = 0  # of the first request in the window
        self._window_refused = 0
        self._last_serial = 0  # of the last refusal
        self._excess = 0.0  # refusals beyond those that the share explains
        self._after_decrease = False  # if true, all refusals in the window are false alarms

    @property
    def is_known(self) -> bool:
        """Whether refusals at any rate are known."""
        return self._share >= _MIN_SHARE

    @property
    def is_exceeded(self) -> bool:
        """Whether there were more refusals lately than the known share explains."""
        return self._excess > _CHANCE / 2

    def record_accepted(self, ticket: Ticket) -> None:
        """Measure the rate that the server accepts during a series."""
        if self._rate_before is None or ticket.serial < self._series_serial:
            return
        self._accepted += 1
        self._last_at = max(self._last_at, ticket.sent_at)
        if self._accepted >= _MIN_ACCEPTED and self._last_at > self._series_began_at:
            rate = (self._accepted - 1) / (self._last_at - self._series_began_at)
            self._accepted_rate = max(self._accepted_rate, rate)

    def explains(self, ticket: Ticket, *, unlimited: bool) -> bool:
        """Count a refusal; return whether the known share of false alarms explains it.

        unlimited: whether no limit of the server is known.
        """
        if not self.is_known:
            return False
        sent = ticket.serial - self._window_serial
        if sent >= _WINDOW:
            may_rise = unlimited or self._after_decrease
            self._update_share(self._window_refused / sent, may_rise=may_rise)
            self._open_window(ticket.serial, after_decrease=False)
        self._window_refused += 1
        since = max(0, ticket.serial - self._last_serial)  # replies may arrive out of order
        self._last_serial += since
        self._excess = max(0.0, self._excess - _TOLERANCE * self._share * since) + 1
        return self._excess <= _CHANCE

    def rate_to_restore(
        self, ticket: Ticket, rate: float, *, next_serial: int, unexpected: bool
    ) -> float | None:
        """Record a refusal at `rate` that no known share explains.

        Return the rate from before the series if the series proves that the rate is not the cause,
        else None. next_serial: of the next request to be sent. unexpected: whether the refusal is
        earlier than a cycle of the limit.
        """
        self._open_window(ticket.serial, after_decrease=True)
        self._last_serial, self._excess = ticket.serial, 0.0
        if not unexpected:
            self._rate_before = None
        elif self._rate_before is None:
            self._begin_series(ticket, rate, next_serial)
        else:
            self._refused += 1
            if rate < _BELOW * self._accepted_rate:
                return self._end_series(ticket)
        return None

    def _begin_series(self, ticket: Ticket, rate: float, next_serial: int) -> None:
        self._rate_before = rate
        self._series_began_at = self._last_at = ticket.sent_at
        # Requests in flight now may reach the server before the refused one.
        self._series_serial = next_serial
        self._accepted = self._refused = 0
        self._accepted_rate = 0.0

    def _end_series(self, ticket: Ticket) -> float | None:
        share = (self._refused + _UNCOUNTED) / (1 + ticket.serial - self._series_serial)
        self._share = min(_MAX_SHARE, share)
        rate, self._rate_before = self._rate_before, None
        return rate

    def _open_window(self, serial: int, *, after_decrease: bool) -> None:
        self._window_serial, self._window_refused = serial, 0
        self._after_decrease = after_decrease

    def _update_share(self, share: float, *, may_rise: bool) -> None:
        max_share = _MAX_SHARE if may_rise else self._share
        self._share = min(max_share, (self._share + share) / 2)
