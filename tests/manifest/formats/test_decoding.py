"""Properties of all text formats: encoding, line ends, empty lines, lines that are too long."""

import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchgen.errors import ManifestError
from batchgen.manifest.formats.decoding import MAX_ROW_BYTES
from batchgen.manifest.formats.source import read_rows
from batchgen.types import Problem, Row
from tests.manifest.formats.reading import fields_of, on_disk, problems_of, rows_of

TWO_ROWS = {
    "m.csv": b"prompt,note\nfox,a\nowl,b\n",
    "m.tsv": b"prompt\tnote\nfox\ta\nowl\tb\n",
    "m.jsonl": b'{"prompt": "fox", "note": "a"}\n{"prompt": "owl", "note": "b"}\n',
    "m.txt": b"fox\nowl\n",
}
NAMES = sorted(TWO_ROWS)
HEADER = {"m.csv": b"prompt\n", "m.tsv": b"prompt\n", "m.jsonl": b"", "m.txt": b""}
every_format = pytest.mark.parametrize("name", NAMES)


def _row(name: str, text: bytes) -> bytes:
    return b'{"prompt": "' + text + b'"}\n' if name == "m.jsonl" else text + b"\n"


def _prompts(items: list[Row | Problem]) -> list[object]:
    return [item.fields["prompt"] for item in items if isinstance(item, Row)]


@every_format
def test_a_byte_order_mark_is_not_part_of_the_text(name: str) -> None:
    assert fields_of(b"\xef\xbb\xbf" + TWO_ROWS[name], name) == fields_of(TWO_ROWS[name], name)


@every_format
def test_windows_line_ends_are_line_ends(name: str) -> None:
    windows = TWO_ROWS[name].replace(b"\n", b"\r\n")
    assert fields_of(windows, name) == fields_of(TWO_ROWS[name], name)


@every_format
def test_the_last_line_needs_no_end(name: str) -> None:
    assert fields_of(TWO_ROWS[name].rstrip(), name) == fields_of(TWO_ROWS[name], name)


@every_format
def test_empty_lines_are_skipped_and_counted(name: str) -> None:
    items = rows_of(b"\n \r\n" + TWO_ROWS[name].replace(b"\n", b"\n\n\t\n"), name)
    first = 3 if not HEADER[name] else 6
    assert [item.line for item in items] == [first, first + 3]
    assert _prompts(items) == ["fox", "owl"]


@every_format
def test_a_byte_that_is_not_utf8_is_an_error_of_its_row_alone(name: str) -> None:
    content = HEADER[name] + _row(name, b"fox") + _row(name, b"caf\xe9") + _row(name, b"owl")
    items = rows_of(content, name)
    assert _prompts(items) == ["fox", "owl"]
    (problem,) = (str(item) for item in items if isinstance(item, Problem))
    line = 3 if HEADER[name] else 2
    assert problem.startswith(f"{name}:{line}: ")
    assert "0xe9" in problem
    assert "save the file as UTF-8" in problem


@every_format
def test_a_nul_byte_is_an_error_of_its_row_alone(name: str) -> None:
    content = HEADER[name] + _row(name, b"fo\0x") + _row(name, b"owl")
    items = rows_of(content, name)
    assert _prompts(items) == ["owl"]
    assert ["NUL byte" in str(item) for item in items] == [True, False]


@every_format
@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf16_is_the_only_problem_of_a_utf16_file(name: str, encoding: str) -> None:
    content = ("\ufeff" + TWO_ROWS[name].decode()).encode(encoding)
    (problem,) = problems_of(content, name)
    assert "UTF-16" in problem
    assert "save it as UTF-8" in problem


@every_format
def test_an_empty_file_is_an_error(name: str) -> None:
    assert problems_of(b"", name) == [f"{name}: the file is empty"]


@every_format
def test_a_header_or_comments_alone_are_no_rows_and_no_problem(name: str) -> None:
    assert rows_of(HEADER[name] or b"\n", name) == []


@every_format
def test_a_line_of_fifty_megabytes_is_an_error_and_never_in_memory(name: str) -> None:
    content = b"".join(
        (HEADER[name], _row(name, b"fox"), _row(name, b"x" * 50_000_000), _row(name, b"owl"))
    )
    with on_disk(content, name) as source:
        tracemalloc.start()
        items = list(read_rows(source))
        _, peak_bytes = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert _prompts(items) == ["fox", "owl"]
    (problem,) = (str(item) for item in items if isinstance(item, Problem))
    assert problem.endswith("the line is longer than 8 MiB, the limit for a row")
    assert peak_bytes < 2 * MAX_ROW_BYTES + 4_000_000


@every_format
@given(st.data())
def test_arbitrary_bytes_give_rows_and_problems_and_nothing_else(
    name: str, data: st.DataObject
) -> None:
    content = data.draw(_odd_bytes(name))
    try:
        items = rows_of(content, name)
    except ManifestError:
        assert content.startswith(b"\x1f\x8b")
        return
    assert all(isinstance(item, Row | Problem) for item in items)
    lines = [item.line for item in items]
    assert all(0 <= line <= content.count(b"\n") + 1 for line in lines)


def _odd_bytes(name: str) -> st.SearchStrategy[bytes]:
    marks = [b'"', b"\t", b",", b"\n", b"\r\n", b"\r", b"\0", b"{", b"}", b":", b"\\", b"#", b"a"]
    marks += [b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xff\xfe", b"\x1f\x8b", b'"a":1', b"NaN"]
    mixed = st.lists(st.sampled_from(marks), max_size=40).map(b"".join)
    start = st.sampled_from([b"", HEADER[name], b"prompt,a\n", b"prompt\ta\n", b"\xef\xbb\xbf"])
    return st.tuples(start, mixed | st.binary(max_size=80)).map(b"".join)


def test_line_numbers_are_right_across_block_borders() -> None:
    prompts = [f"fox {n}-" + "x" * (n * 37 % 5000) for n in range(2000)]
    items = rows_of("\n".join(prompts), "m.txt")
    assert [(item.line, item.fields["prompt"]) for item in _only_rows(items)] == list(
        enumerate(prompts, 1)
    )


def test_a_bad_line_in_a_late_block_is_reported_with_its_line() -> None:
    prompts = [b"fox " * 50] * 9000
    prompts[7000] = b"caf\xe9"
    (problem,) = problems_of(b"\n".join(prompts), "m.txt")
    assert problem.startswith("m.txt:7001: byte 4 ")


def _only_rows(items: list[Row | Problem]) -> Iterator[Row]:
    return (item for item in items if isinstance(item, Row))
