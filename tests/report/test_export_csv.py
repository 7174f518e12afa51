"""Which cells of the CSV export a spreadsheet may read as a formula."""

import pytest

from batchgen.report.export_csv import is_formula


@pytest.mark.parametrize(
    "cell",
    [
        *("=4", "+1", "-1", "@SUM(A1)", "\t=4", "\r=4", "\tx", "\n=4", "  =4", "\u00a0=4"),
        *("\u200b=5", "\ufeff=5", "\u202e=5", "\u00ad=5", "\u3164=5", "\u034f=5", "\ufe0f=5"),
        *(
            "\uff1d5",
            "\uff0b5",
            "\uff0d5",
            "\uff20x",
            "\ufe665",
            "\u207c5",
            "\n\u200b\t \uff1d5",
            "\x00=5",
        ),
    ],
)
def test_a_cell_that_looks_like_a_formula_after_trimming_is_one(cell: str) -> None:
    assert is_formula(cell)


@pytest.mark.parametrize("cell", ["", " ", "\n", "a=b", "a fox", "'=4", "5-4", "(=4)", "\u200ba"])
def test_other_cells_stay(cell: str) -> None:
    assert not is_formula(cell)
