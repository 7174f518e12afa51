"""The data of the page, from records."""

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
    found: dict[str, Any] = json.loads(collector.to_json(_HEADING))
    return found


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


def test_a_hostile_prompt_comes_through_as_it_is() -> None:
    page = _page(_collected(a_record(0, prompt=HOSTILE)))
    assert _row(page)["prompt"] == HOSTILE


def test_a_row_tells_what_the_viewer_shows() -> None:
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


def test_a_text_is_there_to_be_read_in_place() -> None:
    outcome = succeeded(an_artifact("a.txt", media_type="text/plain"), an_artifact("a.png"))
    collector = Collector()
    collector.add(Record(a_task(), outcome), [None, None], [HOSTILE, None])
    files = _row(_page(collector))["files"]
    assert [len(one) for one in files] == [7, 6]
    assert files[0][-1] == HOSTILE


def test_numbers_that_javascript_would_round_stay_exact() -> None:
    row = _row(_page(_collected(Record(a_task(), succeeded()))))
    assert row["params"]["seed"] == str(2**70)
    assert row["seed"] == str(2**70)


def test_tasks_that_were_never_begun_are_pending() -> None:
    collector = _collected(a_record(0), a_record(1, an_artifact()))
    assert _page(collector)["counts"] == {
        "succeeded": 1, "failed": 1, "refused": 0, "unknown": 0, "skipped": 0, "pending": 8,
    }  # fmt: skip


def test_what_is_sent_is_pending_while_a_run_goes_on_and_unknown_after_it() -> None:
    record = Record(a_task(), Outcome(Status.SENT))
    for running, status in ((True, "pending"), (False, "unknown")):
        page = _page(_collected(record, running=running))
        assert page["tables"]["status"] == [status]
        assert page["counts"][status] == (10 if running else 1)


def test_tasks_beyond_the_most_are_counted_and_not_shown() -> None:
    collector = _collected(*(a_record(number) for number in range(5)), limit=2)
    assert (collector.count, collector.listed) == (5, 2)
    page = _page(collector)
    assert len(page["rows"]) == 2
    assert page["counts"]["failed"] == 5
    assert collector.failures()[0].count == 5


def test_the_cause_of_a_row_is_the_cause_of_its_group() -> None:
    collector = _collected(a_record(0))
    assert _page(collector)["tables"]["cause"] == [collector.failures()[0].cause]


def test_every_result_counts_in_the_figures() -> None:
    collector = _collected(*(a_record(number, an_artifact()) for number in range(8)))
    assert collector.figures.spent_usd == {"flux/schnell": 0.024, "dall-e-3": 0.008}
    assert (collector.artifacts, collector.size_bytes) == (8, 8 * 1234)


def test_names_with_two_to_sixty_values_are_facets_in_the_order_they_came() -> None:
    facets = Facets()
    for number in range(MAX_VALUES + 1):
        facets.add("params", {"seed": str(number), "size": '"a"', "n": str(number % 2)})
        facets.add("vars", {"style": f'"{"ba"[number % 2]}"'})
    assert facets.to_json() == [
        {"source": "vars", "name": "style", "values": ['"b"', '"a"']},
        {"source": "params", "name": "n", "values": ["0", "1"]},
    ]


def test_one_long_value_does_not_cost_a_facet_its_others() -> None:
    facets = Facets()
    for text in ('"ink"', f'"{"x" * 500}"', '"gouache"'):
        facets.add("vars", {"style": text})
    assert facets.to_json() == [
        {"source": "vars", "name": "style", "values": ['"ink"', '"gouache"']}
    ]


def test_a_time_is_told_in_utc() -> None:
    record = Record(a_task(), succeeded(finished_at=NOW + timedelta(seconds=1)))
    assert _row(_page(_collected(record)))["finished"] == "2026-11-20 12:00:01 UTC"
