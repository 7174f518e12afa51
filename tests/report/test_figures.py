"""The numbers of the charts, and the charts."""

from datetime import timedelta
from itertools import pairwise
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.report.charts import charts
from batchgen.report.figures import IDLE_S, Figures, busy_spans
from batchgen.types import Outcome, Status
from tests.given import NOW

_TASKS = st.lists(st.tuples(st.floats(0, 1e6), st.floats(0, 1e4)), min_size=1, max_size=50)


def _ended(at_s: float, duration_s: float) -> Outcome:
    finished_at = NOW + timedelta(seconds=at_s + duration_s)
    return Outcome(
        Status.SUCCEEDED, attempts=1, cost_usd=0.5, finished_at=finished_at, duration_s=duration_s
    )


def _figures(tasks: list[tuple[float, float]], model: str = "flux/schnell") -> Figures:
    figures = Figures()
    for at_s, duration_s in tasks:
        figures.add(model, _ended(at_s, duration_s))
    return figures


@given(_TASKS)
def test_the_timeline_counts_every_result_once(tasks: list[tuple[float, float]]) -> None:
    timeline = _figures(tasks).timeline()
    assert timeline is not None
    step_s = timeline.length_s / len(timeline.finished_per_s)
    assert sum(rate * step_s for rate in timeline.finished_per_s) == pytest.approx(len(tasks))
    assert all(0 <= count <= len(tasks) for count in timeline.in_flight)


@given(_TASKS)
def test_busy_spans_are_separate_and_cover_every_interval(tasks: list[tuple[float, float]]) -> None:
    intervals = [(at_s, at_s + duration_s) for at_s, duration_s in tasks]
    spans = busy_spans(intervals)
    assert all(after[0] - before[1] > IDLE_S for before, after in pairwise(spans))
    assert all(any(a <= begin and end <= b for a, b in spans) for begin, end in intervals)


def test_the_time_between_two_runs_is_left_out() -> None:
    timeline = _figures([(0, 60), (86_400, 60)]).timeline()
    assert timeline is not None
    assert timeline.length_s == pytest.approx(120)


def test_overlapping_tasks_are_in_flight_together() -> None:
    timeline = _figures([(0, 10), (0, 10), (5, 5)]).timeline()
    assert timeline is not None
    assert (timeline.in_flight[0], max(timeline.in_flight)) == (2, 3)


def test_percentiles_are_durations_that_occurred() -> None:
    figures = _figures([(0, float(number)) for number in range(1, 101)])
    assert figures.percentiles() == [(50, 51), (75, 75), (90, 90), (95, 95), (99, 99), (100, 100)]


def test_a_job_without_results_has_no_charts() -> None:
    assert list(charts(Figures())) == []


def test_charts_are_well_formed_for_any_model_name() -> None:
    drawn = list(charts(_figures([(0, 1), (1, 2)], model="</svg><script>x</script>\"'&")))
    assert len(drawn) == 5
    for chart in drawn:
        tree = ET.fromstring(chart)  # noqa: S314  # our own text
        assert tree.find("svg") is not None
        assert not list(tree.iter("script"))
