"""The data of the page: rows, counts, facets."""

import json
from datetime import timedelta
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from batchgen.report.data import Collector, Heading, escaped
from batchgen.report.figures import MAX_VALUES, Facets
from batchgen.types import Outcome, Record, Status
from tests.given import NOW, a_task, an_artifact, succeeded
from tests.report.outputs import HOSTILE, a_record

_HEADING = Heading("spring", NOW, 10, 1.25, "../", "../.batchgen/thumbs/")


def _page(collector: Collector) -> dict[str, Any]:
    page: dict[str, Any] = json.loads(collector.to_json(_HEADING))
    return page


def _row(page: dict[str, Any], number: int = 0) -> dict[str, Any]:
    return dict(zip(page["fields"], page["rows"][number], strict=True))


def _collected(*records: Record, running: bool = False, limit: int = 100) -> Collector:
    collector = Collector(running=running, limit=limit)
    for record in records:
        collector.add(record, [None] * len(record.outcome.artifacts))
    return collector


@given(st.recursive(st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))
def test_no_text_can_end_the_script_element(value: Any) -> None:
    encoded = escaped(msgspec.json.encode(value))
    assert not set(encoded) & set(b"<>&")
    assert json.loads(encoded) == value


def test_a_hostile_prompt_is_unchanged() -> None:
    page = _page(_collected(a_record(0, prompt=HOSTILE)))
    assert _row(page)["prompt"] == HOSTILE


def test_a_row_has_what_the_viewer_displays() -> None:
    outcome = succeeded(an_artifact("a/fox.png"), an_artifact("a/fox-2.png"))
    collector = Collector()
    collector.add(Record(a_task(3), outcome), ["ab/cd.webp", None])

    row = _row(page := _page(collector))

    assert row["files"] == [
        ["a/fox.png", "ab/cd.webp", "image/png", 256, 256, 1234],
        ["a/fox-2.png", None, "image/png", 256, 256, 1234],
    ]
    assert page["tables"]["model"][row["model"]] == "dall-e-2"
    assert page["tables"]["source"][row["source"]] == "prompts.csv:5"
    assert (row["revised"], row["cost"], row["duration"]) == ("A red fox", 0.02, 1.5)


def test_a_text_file_has_its_excerpt() -> None:
    outcome = succeeded(an_artifact("a.txt", media_type="text/plain"), an_artifact("a.png"))
    collector = Collector()
    collector.add(Record(a_task(), outcome), [None, None], [HOSTILE, None])
    files = _row(_page(collector))["files"]
    assert [len(file) for file in files] == [7, 6]
    assert files[0][-1] == HOSTILE


def test_numbers_that_javascript_would_round_stay_exact() -> None:
    row = _row(_page(_collected(Record(a_task(), succeeded()))))
    assert row["params"]["seed"] == str(2**70)
    assert row["seed"] == str(2**70)


def test_tasks_that_were_not_started_are_pending() -> None:
    collector = _collected(a_record(0), a_record(1, an_artifact()))
    assert _page(collector)["counts"] == {
        "succeeded": 1, "failed": 1, "refused": 0, "unknown": 0, "skipped": 0, "pending": 8,
    }  # fmt: skip


def test_a_sent_task_is_pending_during_a_run_and_unknown_after_it() -> None:
    record = Record(a_task(), Outcome(Status.SENT))
    for running, status in ((True, "pending"), (False, "unknown")):
        page = _page(_collected(record, running=running))
        assert page["tables"]["status"] == [status]
        assert page["counts"][status] == (10 if running else 1)


def test_tasks_above_the_limit_are_counted_but_not_listed() -> None:
    collector = _collected(*(a_record(number) for number in range(5)), limit=2)
    assert (collector.count, collector.listed) == (5, 2)
    page = _page(collector)
    assert len(page["rows"]) == 2
    assert page["counts"]["failed"] == 5
    assert collector.failures()[0].count == 5


def test_a_row_has_the_same_cause_as_its_group() -> None:
    collector = _collected(a_record(0))
    assert _page(collector)["tables"]["cause"] == [collector.failures()[0].cause]


def test_figures_count_every_result() -> None:
    collector = _collected(*(a_record(number, an_artifact()) for number in range(8)))
    assert collector.figures.spent_usd == {"flux/schnell": 0.024, "dall-e-3": 0.008}
    assert (collector.artifacts, collector.size_bytes) == (8, 8 * 1234)


def test_names_with_two_to_sixty_values_are_facets_in_order() -> None:
    facets = Facets()
    for number in range(MAX_VALUES + 1):
        facets.add("params", {"seed": str(number), "size": '"a"', "n": str(number % 2)})
        facets.add("vars", {"style": f'"{"ba"[number % 2]}"'})
    assert facets.to_json() == [
        {"source": "vars", "name": "style", "values": ['"b"', '"a"']},
        {"source": "params", "name": "n", "values": ["0", "1"]},
    ]


def test_a_long_value_is_ignored_and_the_others_stay() -> None:
    facets = Facets()
    for text in ('"ink"', f'"{"x" * 500}"', '"gouache"'):
        facets.add("vars", {"style": text})
    assert facets.to_json() == [
        {"source": "vars", "name": "style", "values": ['"ink"', '"gouache"']}
    ]


def test_times_are_in_utc() -> None:
    record = Record(a_task(), succeeded(finished_at=NOW + timedelta(seconds=1)))
    assert _row(_page(_collected(record)))["finished"] == "2026-11-20 12:00:01 UTC"
