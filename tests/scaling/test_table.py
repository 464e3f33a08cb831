"""Reading a CSV file of runs, and what is said of a bad one."""

import gzip
import json

import numpy as np
import pytest

from minillm.errors import DataError, UsageError
from minillm.laws import fit
from minillm.laws.runs_table import Table, as_table, left_out, read_table


def packed(data: bytes) -> bytes:
    """Without the time: two processes must find tests of the same names."""
    return gzip.compress(data, mtime=0)


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
        ('N,loss\n1,"2\n3,4\n', "line 2: unexpected end of data: is a quote open"),
        ('N,note,loss\n1,"a\nb",2\n1\n', "line 4: 1 cells under 3 names"),
        ("N,loss\n1,000,3.2\n", "line 2: 3 cells under 2 names; quote a cell that"),
        ("Survey 2026\nN,loss\n1,2\n", "line 1: one cell, 'Survey 2026', above rows"),
        ("# N\n# loss\n", "empty, and lines that begin with #"),
        ("N\0,loss\n", "holds NUL bytes"),
        ('{"N": 1, "loss": 2}\n{"N": 1,\n', "line 2: cannot be read as JSON .it ends"),
        ('{"N": 1, "N": 2}', "line 1: .*the key 'N' is there twice"),
        ('{"N": 1, "loss": 2}\n[1, 2]', "line 2: no JSON object; write"),
        ("[1, 2]", "row 1: no JSON object"),
        ('{"N": [1, 2], "loss": [1]}', "no columns of one length"),
        ('{"law": "", "parameters": {"E": 1}}', "a law, .* `minillm plan --law`"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("# N,loss\n1,2\n2,1\n", "line 2: numbers where the columns' names belong"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read_table(write(tmp_path, text))


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv: No such file"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(DataError, match="not UTF-8: byte 0xe9 at offset 7"):
        read_table(write(tmp_path, "N,loss\né,2\n", "latin-1"))
    with pytest.raises(DataError, match="a folder; give a table's file"):
        read_table(tmp_path)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"PK\x03\x04\0\xff...", "packed in a way that is not read"),
        (b"\x1f\x8b...", "a damaged gzip file"),
        (packed(b"N,loss\n1,2\n")[:-4], "a damaged gzip file"),
        (b"\xfd7zXZ\x00...", "packed in a way that is not read"),
        (b"PAR1\0\xff...", "Parquet: save it as JSON lines"),
    ],
)
def test_what_is_no_text_is_called_what_it_is(tmp_path, raw, words):
    path = tmp_path / "runs"
    path.write_bytes(raw)
    with pytest.raises(DataError, match=words):
        read_table(path)


COLUMNS = {"N": [1e4, 2e4, 4e4], "loss": [3.5, None, 2.5]}
RECORDS = [{name: column[i] for name, column in COLUMNS.items()} for i in range(3)]
LINES = "\n".join(json.dumps(record) for record in RECORDS)
CSV = "N,loss\n1e4,3.5\n2e4,\n4e4,2.5\n"
FRAME = {k: dict(zip("012", column, strict=True)) for k, column in COLUMNS.items()}


@pytest.mark.parametrize(
    ("raw", "lines"),
    [
        (CSV.encode("utf-16"), (2, 3, 4)),
        (CSV.encode("utf-32"), (2, 3, 4)),
        (packed(CSV.encode()), (2, 3, 4)),
        (("sep=;\r\n" + CSV.replace(",", ";")).encode(), (3, 4, 5)),
        (("sep=|\n" + CSV.replace(",", "|")).encode(), (3, 4, 5)),
        (CSV.replace("\n", "\r").encode(), (2, 3, 4)),
        (LINES.encode(), (1, 2, 3)),
        (("\n" + LINES.replace("\n", "\n\n")).encode("utf-8-sig"), (2, 4, 6)),
        (packed(LINES.replace(', "loss": null', "").encode()), (1, 2, 3)),
        (json.dumps(RECORDS, indent=2).encode(), ()),
        ("\n".join(json.dumps(r, indent=1) for r in RECORDS).encode(), (1, 5, 9)),
        (json.dumps(COLUMNS).encode(), ()),
        (json.dumps(FRAME).encode(), ()),
    ],
)
def test_other_files_hold_the_same_table(tmp_path, raw, lines):
    path = tmp_path / "runs"
    path.write_bytes(raw)
    table = read_table(path)
    assert (list(table.columns), table.lines) == (["N", "loss"], lines)
    np.testing.assert_array_equal(table.numbers("N"), [1e4, 2e4, 4e4])
    np.testing.assert_array_equal(table.numbers("loss"), [3.5, np.nan, 2.5])


@pytest.mark.parametrize(
    ("text", "rows", "skipped"),
    [
        ("# a, b\nN,loss\n1,2\n# 2,3\n 3,4\n#note\n", [3, 5], "lines 4, 6; quote"),
        ("N,loss\n1,2\n# why, not, this\n3,4\n", [2, 4], "line 3"),
        ("run,loss\n#1,2\n#2,3\n# a comment, too, long\n", [2, 3], "line 4"),
        ("run,loss\na,2\n#2,3\n# 5,3\n", [2, 3], "line 4; quote"),
        ('N,loss\n1,2\n"#3",3\n', [2, 3], None),
        ("#,loss\n1,2\n2,3\n", [2, 3], None),
        ("# from the log\n#,loss\n1,2\n#2,3\n", [3], "line 4; quote"),
        ("#,loss\n#1,2\n#2,3\n", [2, 3], None),
        ("loss,N\n1,2\n#N/A,3\n", [2, 3], None),
        ('N,note\n1,"two\n# lines"\n3,4\n', [2, 4], None),
    ],
)
def test_a_hash_begins_a_comment_or_a_cell(tmp_path, text, rows, skipped):
    path = write(tmp_path, text)
    table = read_table(path)
    assert list(table.lines) == rows
    told = table.reading_notes([])
    assert (told == []) if skipped is None else (skipped in told[0]), told


def test_a_column_without_a_name_is_told_if_it_holds_something(tmp_path):
    table = read_table(write(tmp_path, ",N,loss,\n0,1,2,\n1,2,1,\n"))
    assert table.notes == ("column 1 has no name and was not read",)
    assert list(table.columns) == ["N", "loss"]


def test_a_name_over_two_lines_can_be_typed(tmp_path):
    table = read_table(write(tmp_path, 'N,"loss\n(nats)"\n1,2\n'))
    assert table.numbers("loss (nats)") == [2]


def test_a_space_before_a_quote_is_none_of_the_cell(tmp_path):
    table = read_table(write(tmp_path, 'loss, N\n2, "1,000,000"\n'))
    assert table.numbers("N") == [1e6]


def test_what_a_column_shows_holds_for_some_of_its_rows():
    table = Table("t", {"N": ["1,000", "1,000,000"], "run": ["a", "b"]})
    assert table.numbers(" N")[1] == 1e6
    first = table.rows(np.array([0]))
    assert (first.numbers("N"), first.columns["run"]) == ([1000], ["a"])


def test_the_delimiter_is_that_of_the_rows_too(tmp_path):
    table = read_table(write(tmp_path, "N (params, no table);loss\n1;2\n"))
    assert list(table.columns) == ["N (params, no table)", "loss"]


def test_rows_left_out_are_counted_in_a_line():
    table = Table(
        "t", {"N": [0, 0, "", 1, -1, np.inf], "y": [1] * 6}, lines=range(2, 8)
    )
    rows, excluded = table.usable("y", ["N"])
    assert list(rows) == [3]
    assert excluded[0] == {"row": 1, "line": 2, "reason": "N is 0"}
    assert left_out(excluded) == (
        "N is 0 (lines 2–3); N is missing (line 4); N is negative (line 6); N is "
        "infinite (line 7)"
    )
    many = [{"row": 2 * i, "reason": f"{i % 5}"} for i in range(1, 100)]
    assert left_out(many) == (
        "1 (rows 2, 12, 22, 32, 42, …, 192); 2 (rows 4, 14, 24, 34, 44, …, 194); "
        "3 (rows 6, 16, 26, 36, 46, …, 196); for other reasons (rows 8, 10, 18, 20, "
        "28, …, 198)"
    )


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
    one, other = fit(path).to_json(), fit(columns).to_json()
    for point in one["influence"]:
        assert point.pop("line") == point["row"] + 1
    assert one == other
    assert as_table(as_table(path)) == read_table(path)
