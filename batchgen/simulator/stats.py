"""Counters of the simulator, so that a test can compare them with the client's."""

from collections import Counter, OrderedDict
from typing import TypeAlias

_MAX_KEYS = 100_000  # whose generations are counted; older ones are dropped

StatsJson: TypeAlias = dict[str, int | float | dict[str, int]]


class Stats:
    """Counters of one simulator.

    requests: paid requests by status or by another result: `reset`, `lost`, `truncated`, `stall`,
        `abandoned` (the client disconnected before the reply).
    generations, images, usd_spent: what was charged. replays: repeated replies, not charged.
    keys: idempotency keys that started a generation; double_generations: those with several.
    file_requests: by status. leaked_keys: requests for files that carried an API key.
    submits: remote jobs submitted. polls: by status.
    in_flight, in_flight_max: paid requests in flight, now and at most.
    """

    def __init__(self) -> None:
        self.requests: Counter[str] = Counter()
        self.file_requests: Counter[str] = Counter()
        self.polls: Counter[str] = Counter()
        self.submits = 0
        self.generations = 0
        self.images = 0
        self.usd_spent = 0.0
        self.replays = 0
        self.keys = 0
        self.double_generations = 0
        self.leaked_keys = 0
        self.in_flight_max = 0
        self.in_flight = 0
        self._times: OrderedDict[str, int] = OrderedDict()

    def begin(self) -> None:
        """Count a paid request that arrived."""
        self.in_flight += 1
        self.in_flight_max = max(self.in_flight_max, self.in_flight)

    def end(self, result: str) -> None:
        """Count the result of a paid request."""
        self.in_flight -= 1
        self.requests[result] += 1

    def count_key(self, key: str) -> None:
        """Count a generation of an idempotency key."""
        times = self._times.pop(key, 0) + 1
        self._times[key] = times
        if len(self._times) > _MAX_KEYS:
            self._times.popitem(last=False)
        self.keys += times == 1
        self.double_generations += times == 2  # noqa: PLR2004 - the second makes it double

    def as_json(self) -> StatsJson:
        """Return the counters of `GET /_simulator/stats`."""
        return {
            "requests": dict(self.requests),
            "generations": self.generations,
            "images": self.images,
            "usd_spent": round(self.usd_spent, 6),
            "replays": self.replays,
            "keys": self.keys,
            "double_generations": self.double_generations,
            "submits": self.submits,
            "polls": dict(self.polls),
            "file_requests": dict(self.file_requests),
            "files": self.file_requests["200"],
            "leaked_keys": self.leaked_keys,
            "in_flight": self.in_flight,
            "in_flight_max": self.in_flight_max,
        }
