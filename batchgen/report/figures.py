"""The numbers of the charts, and the facets of the filters."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec

from batchgen.types import Json, Outcome

IDLE_S = 300.0  # a longer gap between tasks, as between two runs, is not shown
_MIN_BINS, _MAX_BINS = 12, 90  # of a timeline; few tasks in many bins would look like a comb
_PERCENTILES = (50, 75, 90, 95, 99, 100)
MAX_ATTEMPTS = 6  # the last bar counts tasks with this many attempts or more


class Timeline(msgspec.Struct, frozen=True):
    """Throughput and tasks in flight in bins of equal length, without idle time.

    length_s: busy time in seconds. finished_per_s: tasks per second in each bin.
    in_flight: tasks in flight in the middle of each bin.
    """

    length_s: float
    finished_per_s: tuple[float, ...]
    in_flight: tuple[int, ...]


class Figures(msgspec.Struct):
    """Sums over tasks, in a few bytes per task; times are seconds since the epoch."""

    attempts: Counter[int] = msgspec.field(default_factory=Counter)
    spent_usd: dict[str, float] = msgspec.field(default_factory=dict)
    _started: "array[float]" = msgspec.field(default_factory=lambda: array("d"))
    _finished: "array[float]" = msgspec.field(default_factory=lambda: array("d"))
    _durations_s: "array[float]" = msgspec.field(default_factory=lambda: array("d"))

    def add(self, model: str, outcome: Outcome) -> None:
        """Add the outcome of a task."""
        if outcome.attempts:
            self.attempts[min(outcome.attempts, MAX_ATTEMPTS)] += 1
        if outcome.cost_usd:
            self.spent_usd[model] = self.spent_usd.get(model, 0.0) + outcome.cost_usd
        if outcome.finished_at is None or outcome.duration_s is None:
            return
        began_at = outcome.finished_at - timedelta(seconds=max(0.0, outcome.duration_s))
        self._started.append(began_at.timestamp())
        self._finished.append(outcome.finished_at.timestamp())
        self._durations_s.append(outcome.duration_s)

    def percentiles(self) -> list[tuple[int, float]]:
        """Return (percent, seconds) of the durations, 100 for the longest; empty without any."""
        ordered = sorted(self._durations_s)
        last = len(ordered) - 1
        return [(p, ordered[round(last * p / 100)]) for p in _PERCENTILES] if ordered else []

    def timeline(self) -> Timeline | None:
        """Return throughput and tasks in flight over time; None if no task has finished."""
        if not self._finished:
            return None
        spans = busy_spans(zip(self._started, self._finished, strict=True))
        started = sorted(_busy_seconds(self._started, spans))
        finished = sorted(_busy_seconds(self._finished, spans))
        length_s = max(finished[-1], 0.001)
        bins = min(_MAX_BINS, max(_MIN_BINS, len(finished) // 4))
        step = length_s / bins
        edges = [bisect_right(finished, step * number) for number in range(bins)]
        edges[0] = 0
        ended = [
            after - before for before, after in zip(edges, [*edges[1:], len(finished)], strict=True)
        ]
        middles = [step * (number + 0.5) for number in range(bins)]
        in_flight = tuple(bisect_right(started, m) - bisect_right(finished, m) for m in middles)
        return Timeline(length_s, tuple(count / step for count in ended), in_flight)


def busy_spans(intervals: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the spans in which tasks were in flight, gaps of up to IDLE_S included."""
    spans: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if spans and begin - spans[-1][1] <= IDLE_S:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((begin, end))
    return spans


def _busy_seconds(
    moments: Iterable[float], spans: Sequence[tuple[float, float]]
) -> Iterator[float]:
    """Yield each moment as seconds of busy time since the first."""
    begins = [begin for begin, _ in spans]
    before = [0.0]
    for begin, end in spans:
        before.append(before[-1] + end - begin)
    for moment in moments:
        number = bisect_right(begins, moment) - 1
        yield before[number] + moment - begins[number]


MAX_VALUES = 60
_MAX_NAMES = 200
_MAX_CHARACTERS = 80  # of a value in a menu or in the head of a row


class Facets:
    """Collects the values (JSON texts) of variables and parameters that gallery and grid filter by.

    A name with too many values is dropped; long values are ignored.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], dict[str, None] | None] = {}

    def add(self, source: str, texts: Mapping[str, Json]) -> None:
        """Add the values of a task; source: `vars` or `params`."""
        for name, text in texts.items():
            key = (source, name)
            if key not in self._values and len(self._values) >= _MAX_NAMES:
                continue
            values = self._values.setdefault(key, {})
            if values is None:
                continue
            if len(str(text)) <= _MAX_CHARACTERS:
                values[str(text)] = None
            if len(values) > MAX_VALUES:
                self._values[key] = None

    def to_json(self) -> list[Json]:
        """Return the names with at least two values, variables first, values as first added."""
        return [
            {"source": source, "name": name, "values": list(values)}
            for (source, name), values in sorted(
                self._values.items(), key=lambda item: item[0][0] != "vars"
            )
            if values is not None and len(values) > 1
        ]
