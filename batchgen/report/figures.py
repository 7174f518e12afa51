"""The numbers behind the charts. Pure."""

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta

import msgspec

from batchgen.types import Json, Outcome

IDLE_S = 300.0  # between two runs, or while a job waits for nothing that it could show
_FEWEST, _MOST = 12, 90  # moments of a timeline; a handful of tasks would make a comb of more
_PERCENTILES = (50, 75, 90, 95, 99, 100)
_MANY = 6  # attempts; more are counted together


class Timeline(msgspec.Struct, frozen=True):
    """Evenly spaced moments of the time that was worked, idle stretches left out.

    finished_per_s: of the stretch that each moment begins; in_flight: in its middle.
    """

    length_s: float
    finished_per_s: tuple[float, ...]
    in_flight: tuple[int, ...]


class Figures(msgspec.Struct):
    """Sums over tasks, in a few bytes a task; times are seconds since the epoch."""

    attempts: Counter[int] = msgspec.field(default_factory=Counter)
    spent_usd: dict[str, float] = msgspec.field(default_factory=dict)
    _started: "array[float]" = msgspec.field(default_factory=lambda: array("d"))
    _finished: "array[float]" = msgspec.field(default_factory=lambda: array("d"))
    _durations_s: "array[float]" = msgspec.field(default_factory=lambda: array("d"))

    def add(self, model: str, outcome: Outcome) -> None:
        """Count an outcome."""
        if outcome.attempts:
            self.attempts[min(outcome.attempts, _MANY)] += 1
        if outcome.cost_usd:
            self.spent_usd[model] = self.spent_usd.get(model, 0.0) + outcome.cost_usd
        if outcome.finished_at is None or outcome.duration_s is None:
            return
        began_at = outcome.finished_at - timedelta(seconds=max(0.0, outcome.duration_s))
        self._started.append(began_at.timestamp())
        self._finished.append(outcome.finished_at.timestamp())
        self._durations_s.append(outcome.duration_s)

    def percentiles(self) -> list[tuple[int, float]]:
        """(percent, seconds) of the durations, the longest as 100; empty without any."""
        ordered = sorted(self._durations_s)
        last = len(ordered) - 1
        return [(p, ordered[round(last * p / 100)]) for p in _PERCENTILES] if ordered else []

    def timeline(self) -> Timeline | None:
        """What happened over time; None where nothing ended."""
        if not self._finished:
            return None
        spans = busy_spans(zip(self._started, self._finished, strict=True))
        started = sorted(_worked(self._started, spans))
        finished = sorted(_worked(self._finished, spans))
        length_s = max(finished[-1], 0.001)
        bins = min(_MOST, max(_FEWEST, len(finished) // 4))
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
    """The stretches in which something was under way; gaps up to IDLE_S belong to them."""
    spans: list[tuple[float, float]] = []
    for begin, end in sorted(intervals):
        if spans and begin - spans[-1][1] <= IDLE_S:
            spans[-1] = (spans[-1][0], max(spans[-1][1], end))
        else:
            spans.append((begin, end))
    return spans


def _worked(moments: Iterable[float], spans: Sequence[tuple[float, float]]) -> Iterator[float]:
    """Moments as seconds of busy time since the beginning."""
    begins = [begin for begin, _ in spans]
    before = [0.0]
    for begin, end in spans:
        before.append(before[-1] + end - begin)
    for moment in moments:
        number = bisect_right(begins, moment) - 1
        yield before[number] + moment - begins[number]


MOST_VALUES = 60
_MOST_NAMES = 200
_LONGEST = 80  # characters of a value that can stand in a menu or at a row's head


class Facets:
    """Collects values, as JSON texts, under their names.

    A name with too many values is let go; long values are passed over.
    """

    def __init__(self) -> None:
        self._values: dict[tuple[str, str], dict[str, None] | None] = {}

    def add(self, source: str, texts: Mapping[str, Json]) -> None:
        """Take the values of a task; `source`: `vars` or `params`."""
        for name, text in texts.items():
            key = (source, name)
            if key not in self._values and len(self._values) >= _MOST_NAMES:
                continue
            values = self._values.setdefault(key, {})
            if values is None:
                continue
            if len(str(text)) <= _LONGEST:
                values[str(text)] = None
            if len(values) > MOST_VALUES:
                self._values[key] = None

    def to_json(self) -> list[Json]:
        """Names with at least two values, variables first; values in the order they came in."""
        return [
            {"source": source, "name": name, "values": list(values)}
            for (source, name), values in sorted(
                self._values.items(), key=lambda item: item[0][0] != "vars"
            )
            if values is not None and len(values) > 1
        ]
