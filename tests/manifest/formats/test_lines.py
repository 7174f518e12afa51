"""JSONL and TXT: values, comments, and the messages for lines that cannot be read."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.types import Problem, Row
from tests.manifest.formats.reading import fields_of, problems_of, rows_of

numbers = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
leaves = st.none() | st.booleans() | numbers | st.text()
values = st.recursive(
    leaves, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=6
)


@given(st.lists(st.dictionaries(st.text(), values, max_size=4), max_size=3), st.booleans())
def test_jsonl_round_trips(rows: list[dict[str, object]], ascii_only: bool) -> None:  # noqa: FBT001  # drawn
    lines = [json.dumps(row, ensure_ascii=ascii_only) + "\n" for row in rows]
    assert fields_of("".join(lines) or "\n", "m.jsonl") == rows


def test_integers_beyond_64_bits_are_exact() -> None:
    assert fields_of('{"seed": 123456789012345678901234567890}', "m.jsonl") == [
        {"seed": 123456789012345678901234567890}
    ]


def test_a_bare_string_is_a_row_with_only_a_prompt() -> None:
    assert fields_of('"A fox"\n', "m.jsonl") == [{"prompt": "A fox"}]


def test_lines_of_the_openai_batch_form_are_read_unchanged() -> None:
    line = {"custom_id": "a", "method": "POST", "url": "/v1/x", "body": {"prompt": "fox: red"}}
    assert fields_of(json.dumps(line), "m.jsonl") == [line]


def test_rows_of_jsonl_keep_the_types_of_json() -> None:
    (row,) = rows_of('{"prompt": "fox", "n": 2}', "m.jsonl")
    assert row == Row("m.jsonl", 1, {"prompt": "fox", "n": 2}, textual=False)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ('{"a": 1, "a": 2}', '"a" is given twice'),
        ('{"a": {"b : {": 1, "b : {" : 2}}', '"b : {" is given twice'),
        (r'{"a": 1, "\u0061": 2}', '"a" is given twice'),
        ('[{"a": 1}]', "a JSON object or a string, not a list"),
        ("12", "not a number"),
        ("true", "not true or false"),
        ("null", "not null"),
        ('{"a": NaN}', "NaN is not a JSON number"),
        ('{"a": -Infinity}', "-Infinity is not a JSON number"),
        ('{"a": 1e999}', "1e999 is too large"),
        ('{"a": ' + "9" * 5000 + "}", "5000 digits"),
        (r'{"a": "\ud83d"}', "surrogate"),
        (r'{"\udc00": 1}', "surrogate"),
        ('{"a": 1', "not valid JSON at column"),
        ("{'a': 1}", "not valid JSON at column 2"),
        ('{"a": 1} {"b": 2}', "not valid JSON at column 10"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_bad_line_of_jsonl_is_reported_and_the_next_is_read(line: str, expected: str) -> None:
    problem, row = rows_of(f'{line}\n{{"prompt": "fox"}}\n', "m.jsonl")
    assert isinstance(problem, Problem)
    assert problem.line == 1
    assert expected in problem.message
    assert isinstance(row, Row)
    assert row.line == 2


def test_colons_and_braces_in_texts_do_not_count_as_names() -> None:
    row = {"prompt": '{style}: a "sign": "16:9"', "size": "16:9", "vars": {"a:b": ["{"]}}
    assert fields_of(json.dumps(row), "m.jsonl") == [row]


def test_txt_is_one_prompt_per_line_with_comments() -> None:
    content = "# animals\n  A fox \n   # indented comment\n\\#hashtag\nC# code\n"
    assert fields_of(content, "m.txt") == [
        {"prompt": "A fox"},
        {"prompt": "#hashtag"},
        {"prompt": "C# code"},
    ]
    assert all(isinstance(row, Row) and row.textual for row in rows_of(content, "m.txt"))


def test_unicode_line_separators_do_not_end_a_line() -> None:
    assert fields_of("a\u2028b\x0bc\x85d\n", "m.txt") == [{"prompt": "a\u2028b\x0bc\x85d"}]
    assert problems_of('"a\u2028b"\n', "m.jsonl") == []
