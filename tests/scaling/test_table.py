"""Reading a CSV file of runs, and what is said of a bad one."""

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.scaling import fit
from minillm.scaling.table import as_table, read_table


def write(folder, text, encoding="utf-8"):
    path = folder / "实验.csv"
    path.write_bytes(text.encode(encoding))
    return path


def test_columns_come_back_as_numbers(tmp_path):
    path = write(
        tmp_path, '\ufeffsize, N ,loss\r\n"pi,co",1e4,2.5\r\n\r\nnano,2e4,\r\n'
    )
    table = read_table(path)
    assert list(table.columns) == ["size", "N", "loss"]
    np.testing.assert_array_equal(table.numbers("N"), [1e4, 2e4])
    np.testing.assert_array_equal(table.numbers("loss"), [2.5, np.nan])
    assert table.place(1).endswith("实验.csv, line 4")


@pytest.mark.parametrize("divider", [",", ";", "\t"])
def test_tables_as_people_keep_them(tmp_path, divider):
    lines = [
        '# the first series; 3 seeds, rates as in "plan"',
        "参数量 N|e\u0301|loss|",
        "1e12|1|2.5|",
        "# repeated",
        "2e6|NA|–|",
    ]
    text = "\r\n".join(line.replace("|", divider) for line in lines)
    table = read_table(write(tmp_path, text))
    assert list(table.columns) == ["参数量 N", "\u00e9", "loss"]
    np.testing.assert_array_equal(table.numbers("参数量 N"), [1e12, 2e6])
    np.testing.assert_array_equal(table.numbers("e\u0301"), [1, np.nan])
    np.testing.assert_array_equal(table.numbers("loss"), [2.5, np.nan])
    assert table.place(1).endswith("line 5")


def test_a_decimal_comma_where_semicolons_divide(tmp_path):
    table = read_table(write(tmp_path, "N;loss;size\n1e4;2,5;1,2,3\n2e4;2,25e0;x\n"))
    np.testing.assert_array_equal(table.numbers("loss"), [2.5, 2.25])
    assert table.columns["size"] == ["1,2,3", "x"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        ("N,loss\n", "only a header"),
        ("N loss\n1 2\n", "one column, 'N loss'; divide cells by"),
        ("N,N\n1,2\n", "two columns are called 'N'"),
        ("N,loss\n1,2\n3\n", "line 3: 1 cells under 2 names"),
        ('N,loss\n1,"2\n', "line 2: unexpected end of data"),
        ("# N,loss\n1,2\n2,1\n", "line 2: numbers where the columns' names belong"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_table(write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: No such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="not UTF-8 at byte 7"):
        read_table(write(tmp_path, "N,loss\né,2\n", "latin-1"))


def test_text_in_a_number_column_names_file_line_and_value(tmp_path):
    path = write(tmp_path, "N,loss\n1,2\n\n2,low\n")
    with pytest.raises(DataError, match=r"实验\.csv, line 4: loss is 'low'"):
        fit(path)


def test_an_unknown_column_lists_those_there_are(tmp_path):
    path = write(tmp_path, "params,loss\n1,2\n")
    with pytest.raises(UsageError, match="no column 'N'; there are params, loss"):
        fit(str(path))


def test_a_file_and_a_mapping_are_fitted_alike(tmp_path):
    sizes = [1e4, 3e4, 1e5, 3e5, 1e6]
    losses = [1 + 30 * n**-0.4 for n in sizes]
    rows = "".join(f"{n!r},{y!r}\n" for n, y in zip(sizes, losses, strict=True))
    path = write(tmp_path, "N,loss\n" + rows)
    columns = {"N": sizes, "loss": losses}
    assert fit(path).to_json() == fit(columns).to_json()
    assert as_table(as_table(path)) == read_table(path)
