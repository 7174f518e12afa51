"""Charts as SVG text: colours come from the page's style sheet, every text is escaped. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from batchgen.report.figures import Figures, Timeline
from batchgen.text import one_line, show_count, show_duration, show_money, show_rate

_WIDTH, _HEIGHT = 640, 220
_LEFT, _RIGHT, _TOP, _BOTTOM = 76, 12, 14, 26
_BAR_LABEL, _BAR_VALUE, _BAR_STEP = 220, 120, 28
_MOST_BARS = 20
_LABEL_CHARACTERS = 24


def charts(figures: Figures) -> Iterator[str]:
    """The report's charts as HTML figures; those without anything to show are left out."""
    timeline = figures.timeline()
    if timeline is not None:
        yield _figure("Throughput", "results that arrived", _rates(timeline))
        yield _figure("In flight", "tasks under way at a time", _in_flight(timeline))
    if durations := figures.percentiles():
        labels = ((("longest" if p == 100 else f"{p} %"), s) for p, s in durations)  # noqa: PLR2004  # per cent
        bars = [(label, seconds, show_duration(seconds)) for label, seconds in labels]
        yield _figure("Duration", "that share of the tasks took no longer", _bars(bars))
    if figures.attempts:
        most = max(figures.attempts)
        bars = [
            (_times(number), count, show_count(count))
            for number in range(1, most + 1)
            if (count := figures.attempts[number]) or number < most
        ]
        yield _figure("Attempts", "tasks by how often they were sent", _bars(bars))
    if figures.spent_usd:
        ranked = sorted(figures.spent_usd.items(), key=lambda item: -item[1])
        bars = [(model, usd, show_money(usd)) for model, usd in ranked[:_MOST_BARS]]
        yield _figure("Spend", "by model, as far as prices are known", _bars(bars))


def _times(number: int) -> str:
    return f"{number} and more" if number == 6 else str(number)  # noqa: PLR2004  # figures._MANY


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
    """A line over time with its area filled; the labels name the highest value and the length."""
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
            _text(_LEFT, _HEIGHT - 6, "begin", "start"),
            _text(_WIDTH - _RIGHT, _HEIGHT - 6, show_duration(length_s), "end"),
        ),
    )


def _bars(bars: Sequence[tuple[str, float, str]]) -> str:
    """Horizontal bars: (label, value, the value as it is told)."""
    longest = max((value for _, value, _ in bars), default=0) or 1
    room = _WIDTH - _BAR_LABEL - _BAR_VALUE
    parts = []
    for number, (label, value, told) in enumerate(bars):
        y = number * _BAR_STEP + 6
        width = max(1.0, room * value / longest)
        parts += [
            _text(_BAR_LABEL - 8, y + 15, one_line(label, _LABEL_CHARACTERS), "end"),
            f'<rect class="bar" x="{_BAR_LABEL}" y="{y}" width="{width:.1f}" height="20" rx="3"/>',
            _text(_BAR_LABEL + width + 8, y + 15, told, "start"),
        ]
    about = ", ".join(f"{label}: {told}" for label, _, told in bars)
    return _svg(len(bars) * _BAR_STEP + 8, about, parts)


def _svg(height: int, about: str, parts: Iterable[str]) -> str:
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(about)}">'
        f"{''.join(parts)}</svg>"
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
