"""Keys, digests, slugs, and the counting of equal values."""

import tracemalloc
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.manifest.expand.identity import (
    Occurrences,
    key_of_id,
    key_of_request,
    request_digest,
    slug,
)


@given(st.lists(st.text(max_size=2) | st.text(), max_size=300))
def test_occurrences_count_as_a_counter_does(values: list[str]) -> None:
    occurrences, counter = Occurrences(), Counter[str]()
    for value in values:
        assert occurrences.add(value) == counter[value]
        counter[value] += 1


def test_occurrences_stay_right_while_the_buckets_grow() -> None:
    occurrences = Occurrences()
    values = [f"value {number}" for number in range(60_000)]
    assert {occurrences.add(value) for value in values} == {0}
    assert {occurrences.add(value) for value in values} == {1}


def test_values_that_occur_hundreds_of_times_are_counted() -> None:
    occurrences = Occurrences()
    assert [occurrences.add("a") for _ in range(600)] == list(range(600))
    assert occurrences.add("b") == 0


def test_a_hundred_thousand_values_take_less_than_forty_bytes_each() -> None:
    tracemalloc.start()
    try:
        occurrences = Occurrences()
        for number in range(100_000):
            occurrences.add(f"{number:032x}")
        held_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held_bytes < 40 * 100_000


def test_keys_never_change() -> None:
    # An old ledger must find its tasks: these values never change.
    digest = request_digest("images", "dall-e-2", "A fox", b'{"n":1}')
    assert digest == "73817fa8eafb0c8b24b5e4224186184c"
    assert key_of_request(digest, 0) == "6577b12e52bce9cd000482513407ee76"
    assert key_of_request(digest, 1) == "1be3f1307584bf5173345e27198e0482"
    assert key_of_id("hero") == "43104d493e2d4b29549d590b73c85798"


@given(*[st.text(max_size=4)] * 4)
def test_requests_that_differ_in_where_a_part_ends_have_different_digests(
    model: str, prompt: str, other_model: str, other_prompt: str
) -> None:
    digest = request_digest("images", model, prompt, b"{}")
    other_digest = request_digest("images", other_model, other_prompt, b"{}")
    assert (digest == other_digest) == ((model, prompt) == (other_model, other_prompt))


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("A fox, ink (front)", "a-fox-ink-front"),
        ("  --__x__--  ", "x"),
        ("", ""),
        ("?!", ""),
        ("one two three four five six seven eight", "one-two-three-four-five-six"),
        ("x" * 50, "x" * 32),
        ("山水画。雾中", "山水画-雾中"),
    ],
)
def test_a_slug_is_words_cut_at_a_words_end(text: str, result: str) -> None:
    assert slug(text) == result


@given(st.text())
def test_a_slug_is_short_and_safe_in_a_file_name(text: str) -> None:
    shortened = slug(text)
    assert len(shortened) <= 32
    assert not set(shortened) & set('/\\:*?"<>|{}. \0\n')
