"""CSV and TSV: round trips, quoting, headers, and the messages for broken rows."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.types import Problem, Row
from tests.manifest.formats.reading import fields_of, problems_of, rows_of
from tests.shared import shared_path

cells = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
names = st.lists(st.from_regex(r"[a-z]{5}", fullmatch=True), min_size=1, max_size=4, unique=True)


def _written(rows: list[list[str]], dialect: str) -> str:
    target = io.StringIO(newline="")
    csv.writer(target, dialect).writerows(rows)
    return target.getvalue()


def _fields(header: list[str], row: list[str]) -> dict[str, str]:
    return {name: cell for name, cell in zip(header, row, strict=True) if cell}


def _round_trip(data: st.DataObject, alphabet: st.SearchStrategy[str], name: str) -> None:
    header = ["prompt", *data.draw(names)]
    row = st.lists(alphabet, min_size=len(header), max_size=len(header))
    rows = data.draw(st.lists(row, max_size=6))
    dialect = "excel" if name == "m.csv" else "excel-tab"
    expected = [_fields(header, row) for row in rows if any(cell.strip() for cell in row)]
    assert fields_of(_written([header, *rows], dialect), name) == expected


@given(st.data())
def test_csv_round_trips(data: st.DataObject) -> None:
    _round_trip(data, cells, "m.csv")


@given(st.data())
def test_tsv_without_line_breaks_round_trips(data: st.DataObject) -> None:
    _round_trip(data, cells.filter(lambda cell: not set(cell) & set("\r\n")), "m.tsv")


def test_rows_of_csv_are_textual_and_empty_cells_are_left_out() -> None:
    assert rows_of("prompt,n,size\nfox,,1x1\n") == [
        Row("m.csv", 2, {"prompt": "fox", "size": "1x1"}, textual=True)
    ]


def test_built_in_columns_are_recognised_in_any_case_and_others_keep_theirs() -> None:
    assert fields_of(" Prompt ,ID,FileName,MODEL,Note\nfox,1,f,m,x\n") == [
        {"prompt": "fox", "id": "1", "filename": "f", "model": "m", "Note": "x"}
    ]


def test_a_quoted_cell_may_contain_line_breaks_and_the_row_has_its_first_line() -> None:
    items = rows_of('prompt,id\n"a ""red""\nfox",1\nowl,2\n')
    assert [(item.line, dict(item.fields)) for item in items if isinstance(item, Row)] == [
        (2, {"prompt": 'a "red"\nfox', "id": "1"}),
        (4, {"prompt": "owl", "id": "2"}),
    ]


def test_a_cell_of_a_megabyte_is_read() -> None:
    assert fields_of("prompt\n" + "x" * 1_000_000) == [{"prompt": "x" * 1_000_000}]


@pytest.mark.parametrize("mark", [";", "\t"])
def test_the_header_shows_the_separator_of_european_spreadsheets(mark: str) -> None:
    assert fields_of(f"id{mark}prompt\n1{mark}a, b\n") == [{"id": "1", "prompt": "a, b"}]


def test_a_header_with_a_comma_is_separated_by_commas() -> None:
    assert fields_of("prompt,a;b\nx;y,z\n") == [{"prompt": "x;y", "a;b": "z"}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (
            "id,text\n1,fox\n",
            'm.csv:1: the header has no column "prompt", only "id", "text"; add or rename one',
        ),
        ("prompt,Prompt\na,b\n", 'm.csv:1: the header has "prompt" twice'),
        ("prompt,x,x\na,b,c\n", 'm.csv:1: the header has "x" twice'),
        ('prompt,"x\n', "m.csv:1: the quote opened on this line is never closed"),
        (b"prompt,\xe9\na,b\n", "m.csv:1: byte 8 of the line is 0xe9"),
        ("prompt,id\rfox,1\r", "m.csv:1: the row contains a bare carriage return"),
    ],
)
def test_a_bad_header_is_one_problem_and_the_end(content: str | bytes, expected: str) -> None:
    (problem,) = rows_of(content)
    assert str(problem).startswith(expected)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("a,b,c,d", "3: the row has 4 cells, but the header has 3; quote cells that contain"),
        ("1", "3: the row has 1 cell, but the header has 3, and the prompt is missing"),
        ('1,"fox" red,x', "3: text follows the closing quote of a cell that begins here"),
    ],
)
def test_a_bad_row_of_csv_is_reported_and_the_next_is_read(row: str, expected: str) -> None:
    first, problem, last = rows_of(f"id,prompt,x\n1,a,b\n{row}\n3,c,d\n")
    assert isinstance(first, Row)
    assert isinstance(problem, Problem)
    assert str(problem).startswith(f"m.csv:{expected}")
    assert isinstance(last, Row)
    assert last.line == 4


def test_a_short_row_with_a_prompt_is_accepted() -> None:
    assert fields_of("prompt,id,x\nfox\n") == [{"prompt": "fox"}]


def test_rows_with_only_empty_cells_are_skipped() -> None:
    assert fields_of("prompt,id\n,\nfox,1\n,,,\n  ,\n") == [{"prompt": "fox", "id": "1"}]


def test_a_column_without_a_name_must_be_empty() -> None:
    content = "prompt,,\nfox,,\nowl,x,\n"
    row, problem = rows_of(content)
    assert isinstance(row, Row)
    assert str(problem) == "m.csv:3: cell 2 has no name in the header; name the column"


def test_rows_need_no_prompt_column_if_the_caller_says_so() -> None:
    assert rows_of("name,price\nchair\n", needs_prompt=False) == [
        Row("m.csv", 2, {"name": "chair"}, textual=True)
    ]


def test_an_unclosed_quote_is_reported_on_the_line_where_it_was_opened() -> None:
    content = 'prompt,id\n"a\nb",1\n"fox\ncat",2\nowl,"3\n' + "x,y\n" * 100
    (problem,) = problems_of(content)
    assert problem.startswith(
        "m.csv:6: the quote opened on this line is never closed; close the quote, or"
    )


def test_an_unclosed_quote_before_another_quote_is_reported_where_it_was_opened() -> None:
    items = rows_of('prompt,id\n"fox,1\nowl,2\n"cat",3\ndog,4\n')
    assert isinstance(items[0], Problem)
    assert items[0].line == 2
    assert isinstance(items[1], Row)
    assert items[1].line == 5


def test_an_unclosed_quote_ends_at_the_length_limit_of_a_row() -> None:
    items = rows_of('prompt,id\nowl,0\n"fox,1\n' + ("x" * 99 + ",2\n") * 100_000)
    assert [item.line for item in items] == [2, 3]
    assert "does not end within 8 MiB" in str(items[1])


def test_a_quote_inside_a_cell_is_text() -> None:
    assert fields_of('prompt,id\na 5" pipe,1\n') == [{"prompt": 'a 5" pipe', "id": "1"}]


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ('the word "PEACE" on a wall', 'the word "PEACE" on a wall'),
        ('"G I G G L E" painted', '"G I G G L E" painted'),
        ('named "Wanderers"', 'named "Wanderers"'),
        ('5" pipe', '5" pipe'),
        ('"a" and "b"', '"a" and "b"'),
        ('"a ""red"" fox"', 'a "red" fox'),
        ('"a\tb"', "a\tb"),
        ('"""Wow"', '"Wow'),
    ],
)
def test_a_cell_of_tsv_is_unquoted_only_if_it_is_quoted_from_end_to_end(
    cell: str, expected: str
) -> None:
    assert fields_of(f"id\tprompt\tx\n1\t{cell}\t2\n", "m.tsv") == [
        {"id": "1", "prompt": expected, "x": "2"}
    ]


def test_an_ambiguous_cell_of_tsv_is_reported() -> None:
    problem, row = rows_of('prompt\tid\n"Wow\t1\nfox\t2\n', "m.tsv")
    assert str(problem).startswith("m.tsv:2: cell 1 begins with a quote that is not closed")
    assert isinstance(row, Row)


def test_parti_prompts_are_read_unchanged() -> None:
    path = shared_path("data", "PartiPrompts.tsv")
    raw = path.read_text(encoding="utf-8").split("\n")[1:]
    rows = fields_of(path.read_bytes(), "PartiPrompts.tsv")
    assert len(rows) == 1632
    assert [row["prompt"] for row in rows] == [line.split("\t")[0] for line in raw if line]
