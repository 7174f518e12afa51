"""The charts as SVG text; colours come from the page's style sheet, all texts are escaped."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from batchgen.report.figures import MAX_ATTEMPTS, Figures, Timeline
from batchgen.text import one_line, show_count, show_duration, show_money, show_rate

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 12, 14, 26
_BAR_LABEL, _BAR_VALUE, _BAR_STEP = 220, 120, 28
_MAX_BARS = 20
_LABEL_CHARACTERS = 24


def charts(figures: Figures) -> Iterator[str]:
    """Yield the charts as HTML figures, except those without data."""
    timeline = figures.timeline()
    if timeline is not None:
        yield _figure("Throughput", "finished tasks over time", _rates(timeline))
        yield _figure("In flight", "tasks in progress over time", _in_flight(timeline))
    if durations := figures.percentiles():
        labels = ((("longest" if p == 100 else f"{p} %"), s) for p, s in durations)  # noqa: PLR2004  # per cent
        bars = [(label, seconds, show_duration(seconds)) for label, seconds in labels]
        yield _figure("Duration", "percentiles of the time per task", _bars(bars))
    if figures.attempts:
        highest = max(figures.attempts)
        bars = [
            (_attempts(number), count, show_count(count))
            for number in range(1, highest + 1)
            if (count := figures.attempts[number]) or number < highest
        ]
        yield _figure("Attempts", "tasks by number of attempts", _bars(bars))
    if figures.spent_usd:
        ranked = sorted(figures.spent_usd.items(), key=lambda item: -item[1])
        bars = [(model, usd, show_money(usd)) for model, usd in ranked[:_MAX_BARS]]
        yield _figure("Spend", "by model, for tasks with a known price", _bars(bars))


def _attempts(number: int) -> str:
    return f"{number} or more" if number == MAX_ATTEMPTS else str(number)


def _figure(title: str, subtitle: str, drawing: str) -> str:
    return (
        f"<figure><figcaption><b>{escape(title)}</b> {escape(subtitle)}</figcaption>"
        f"{drawing}</figure>"
    )


def _rates(timeline: Timeline) -> str:
    rates = timeline.finished_per_s
    return _area(rates, show_rate(max(rates)), timeline.length_s)


def _in_flight(timeline: Timeline) -> str:
    counts = timeline.in_flight
    return _area(counts, show_count(max(counts)), timeline.length_s)


def _area(values: Sequence[float], highest: str, length_s: float) -> str:
    """Draw an area chart over time, labelled with the highest value and the length."""
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM
    top, floor = max(values) or 1, _HEIGHT - _BOTTOM
    step = width / max(1, len(values) - 1)
    points = " ".join(
        f"{_LEFT + step * number:.1f},{floor - height * value / top:.1f}"
        for number, value in enumerate(values)
    )
    return _svg(
        _HEIGHT,
        f"at most {highest}, over {show_duration(length_s)}",
        (
            f'<polygon class="area" points="{_LEFT},{floor} {points} {_WIDTH - _RIGHT},{floor}"/>',
            f'<polyline class="line" points="{points}"/>',
            f'<line class="axis" x1="{_LEFT}" y1="{floor}" x2="{_WIDTH - _RIGHT}" y2="{floor}"/>',
            _text(_LEFT - 8, _TOP + 4, highest, "end"),
            _text(_LEFT - 8, floor, "0", "end"),
            _text(_LEFT, _HEIGHT - 6, "start", "start"),
            _text(_WIDTH - _RIGHT, _HEIGHT - 6, show_duration(length_s), "end"),
        ),
    )


def _bars(bars: Sequence[tuple[str, float, str]]) -> str:
    """Draw horizontal bars, each given as (label, value, formatted value)."""
    longest = max((value for _, value, _ in bars), default=0) or 1
    room = _WIDTH - _BAR_LABEL - _BAR_VALUE
    parts = []
    for number, (label, value, formatted) in enumerate(bars):
        y = number * _BAR_STEP + 6
        width = max(1.0, room * value / longest)
        parts += [
            _text(_BAR_LABEL - 8, y + 15, one_line(label, _LABEL_CHARACTERS), "end"),
            f'<rect class="bar" x="{_BAR_LABEL}" y="{y}" width="{width:.1f}" height="20" rx="3"/>',
            _text(_BAR_LABEL + width + 8, y + 15, formatted, "start"),
        ]
    about = ", ".join(f"{label}: {formatted}" for label, _, formatted in bars)
    return _svg(len(bars) * _BAR_STEP + 8, about, parts)


def _svg(height: int, about: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(about)}">'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
