"""Rows of the formats that are one row after the other: CSV, TSV, JSONL and TXT."""

from collections.abc import Iterator
from typing import assert_never

from batchgen.manifest.delimited import read_csv, read_tsv
from batchgen.manifest.lines import read_jsonl, read_txt
from batchgen.manifest.source import Format, Source, open_binary
from batchgen.manifest.text import TextLines
from batchgen.types import Problem, Row


def read_rows(source: Source, *, needs_prompt: bool = True) -> Iterator[Row | Problem]:
    """Read the rows of a CSV, TSV, JSONL or TXT manifest in order, streaming.

    What is wrong with one row is a Problem in its place; what makes the rest unreadable is one
    Problem and the end. A file of no bytes is a Problem; one of a header or comments only is not.
    needs_prompt: a CSV or TSV without a prompt column is a Problem.
    Raises ManifestError when the file cannot be opened or its gzip data is damaged, ValueError for
    a YAML source, whose rows are read by `yaml_job`.
    """
    with open_binary(source) as stream:
        lines = TextLines(stream, source.label)
        match source.format:
            case Format.CSV:
                yield from read_csv(lines, source.label, needs_prompt=needs_prompt)
            case Format.TSV:
                yield from read_tsv(lines, source.label, needs_prompt=needs_prompt)
            case Format.JSONL:
                yield from read_jsonl(lines, source.label)
            case Format.TXT:
                yield from read_txt(lines, source.label)
            case Format.YAML:
                raise ValueError(f"{source.label} is YAML, which is not read as rows")
            case _:
                assert_never(source.format)
