"""Canonical JSON, values as text, and what nothing could hold."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.job.canonical import UnstorableError, as_text, canonical
from batchgen.types import Json

plain = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
sound = st.recursive(
    plain | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
    max_leaves=8,
)


@given(sound)
def test_canonical_json_is_the_value(value: Json) -> None:
    assert json.loads(canonical(value)) == value


@given(st.dictionaries(st.text("abc"), sound, min_size=2))
def test_the_order_of_names_does_not_matter(value: dict[str, Json]) -> None:
    assert canonical(value) == canonical(dict(reversed(value.items())))


def nested(levels: int) -> Json:
    value: Json = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "told"),
    [
        ({"a": ["x", "\0"]}, "`a.1` has a NUL character at position 1"),
        ({"a": "\udc80"}, r"`a` has \\udc80, half of a surrogate pair"),
        ({"\ud800": 1}, "the name has"),
        ({"a": {"b\0": 1}}, "the name has a NUL"),
        ({"a": float("nan")}, "`a` is nan"),
        ({"a": [float("-inf")]}, "`a.0` is -inf"),
        ({"a": 16**5000}, "thousands of digits"),
        ("\0", "the value has a NUL character"),
        ({"a": nested(70)}, "`a` is nested more than 64 levels deep"),
        ({"a": nested(100_000)}, "`a` is nested more than 64 levels deep"),
    ],
)
def test_what_nothing_could_hold_is_told_with_its_place(value: Json, told: str) -> None:
    with pytest.raises(UnstorableError, match=told):
        canonical(value)


@pytest.mark.parametrize("value", ["\\u0000", "null", None, [None], 10**4000, nested(60), "[" * 99])
def test_what_only_looks_like_it_is_taken(value: Json) -> None:
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", "a"),
        (True, "true"),
        (None, ""),
        (7, "7"),
        (1.5, "1.5"),
        ({"width": 64, "height": 32}, "64x32"),
        ([1, "a"], '[1,"a"]'),
        ({"b": 1}, '{"b":1}'),
    ],
)
def test_values_as_templates_show_them(value: Json, text: str) -> None:
    assert as_text(value) == text
