"""Numbers as people write them: the whole column says what its marks mean."""

import math

import numpy as np
import pytest

from minillm.errors import DataError
from minillm.laws import fit
from minillm.laws.runs_table import Table, read_table
from minillm.laws.written_numbers import Unreadable, read_numbers


@pytest.mark.parametrize(
    ("cells", "values"),
    [
        (["1,234,567", "1,000"], [1234567, 1000]),
        (["1,234.5", "1,000"], [1234.5, 1000]),
        (["1,000", "3.25"], [1000, 3.25]),  # a point is the decimal mark elsewhere
        (["2,5", "3,25"], [2.5, 3.25]),
        (["2,5", "1,000"], [2.5, 1]),
        (["1.234,5", "1.000"], [1234.5, 1000]),
        (["1.234.567", "1.000"], [1234567, 1000]),
        (["0,500", "0,125"], [0.5, 0.125]),  # a thousand does not begin with 0
        (["1234,567"], [1234.567]),
        ([",5", "-1,5"], [0.5, -1.5]),
        (["1,000e+04", "2,512e+04"], [10000, 25120]),
        (["1,28e6", "1.000.000"], [1.28e6, 1e6]),
        (["1 234 567", "12\u00a0000", "1\u202f000,5"], [1234567, 12000, 1000.5]),
        (["1'000", "1’000", "1_000_000"], [1000, 1000, 1e6]),
        (["1.2M", "70B", "1k", "7 G", "1.4T"], [1.2e6, 7e10, 1e3, 7e9, 1.4e12]),
        (["12.5%", "3 %", ""], [0.125, 0.03, math.nan]),
        (["−3", "1e−4", "+5"], [-3, 1e-4, 5]),
        (["NA", " ", "–", "−", "nan", "#N/A", "1"], [math.nan] * 6 + [1]),
        (["1.000", "2.500"], [1, 2.5]),
        (["1e999", "inf"], [math.inf, math.inf]),
        ([1, 2.5, None, "3"], [1, 2.5, math.nan, 3]),
    ],
)
def test_a_column_is_read(cells, values):
    np.testing.assert_array_equal(read_numbers(cells).values, values)


@pytest.mark.parametrize(
    ("cells", "row", "words"),
    [
        (["200", "1,000", "12,500"], 1, "can be 1000 or 1: name the decimal mark"),
        (["", None, "1,000"], 2, "can be 1000 or 1"),
        (["1,000M"], 0, "can be 1000000000 or 1000000"),
        (["1.000", "1,000"], 0, "can be 1 or 1000"),
        (["3.25", "2,5"], 1, "another decimal mark than '3.25'"),
        (["1.5", "1,000.5", "2,5"], 2, "another decimal mark than '1.5'"),
        (["12,34,567"], 0, "is not a number; write it as 70e6"),
        (["2,5", "3.25", "low"], 1, "another decimal mark than '2,5'"),
        (["low", "2,5", "3.25"], 0, "is not a number"),
        (["12%", "3"], 1, "has no %, as others"),
        (["70m"], 0, "is not a number; write it as 70e6 or 70M"),
        ([True], 0, "is not a number"),
        ([10**400], 0, "is not a number"),
    ],
)
def test_a_column_that_can_mean_two_things_is_refused(cells, row, words):
    with pytest.raises(Unreadable, match=words) as error:
        read_numbers(cells)
    assert error.value.row == row


def test_a_named_mark_decides():
    assert read_numbers(["1,000"], ".").values == [1000]
    assert read_numbers(["1,000"], ",").values == [1]
    with pytest.raises(Unreadable, match="is not a number"):
        read_numbers(["5.2"], ",")


def test_points_are_doubtful_beside_decimal_commas():
    columns = {"N": ["1.000", "2.500"], "loss": ["3,1", "2,75"]}
    with pytest.raises(
        DataError, match=r"row 1: N is '1\.000', which can be 1 or 1000"
    ):
        Table("t", columns).numbers("N")
    assert list(Table("t", columns, decimal=",").numbers("N")) == [1000, 2500]
    columns["loss"] = ["3.1", "2.75"]
    assert list(Table("t", columns).numbers("N")) == [1, 2.5]


def test_a_loss_is_no_thousand():
    columns = {"N": ["1,000"], "val_loss": ["2,806"], "bpb": ["1.234"], "x": ["2,5"]}
    table = Table("t", columns)
    assert [table.numbers(name) for name in ("val_loss", "bpb")] == [[2.806], [1.234]]
    assert table.reading_notes(["val_loss"]) == [
        "t, row 1: val_loss is '2,806', read as 2.806"
    ]
    with pytest.raises(DataError, match="can be 1000 or 1"):
        table.numbers("N")


SIZES = [200, 250, 500, 750, 1000, 2500, 4000, 6122, 11851]
LOSSES = [5.2, 5.0, 4.5, 4.2, 3.97, 3.55, 3.46, 3.38, 3.29]


@pytest.fixture
def thousands(tmp_path):
    path = tmp_path / "t.csv"
    rows = [f"{n:,};{loss}" for n, loss in zip(SIZES, LOSSES, strict=True)]
    path.write_text("\n".join(["N;loss", *rows]), encoding="utf-8")
    return path


def test_thousands_divided_by_semicolons_are_no_decimals(thousands):
    with pytest.raises(DataError, match=r"line 6: N is '1,000', .*decimal='\.'"):
        fit(thousands)
    law = fit(read_table(thousands, "."))
    assert law.parameters["alpha"] == pytest.approx(0.519, abs=5e-4)
    assert law.notes == [f"{thousands}, line 6: N is '1,000', read as 1000"]
