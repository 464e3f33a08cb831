"""`minillm isoflop` on a table whose optima are known."""

import json
import shlex

import pytest


@pytest.fixture
def table(tmp_path):
    rows = ["# 三个预算", "params;tokens;loss"]
    for flops in (1e18, 1e19, 1e20):
        for shift in (-0.8, -0.4, 0, 0.4, 0.8):
            n = 0.1 * flops**0.5 * 10**shift
            rows.append(f"{n!r};{flops / 6 / n!r};{3 * flops**-0.01 + 0.2 * shift**2}")
    path = tmp_path / "表.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    return str(path)


COLUMNS = ["--n", "params", "--d", "tokens"]


def test_the_exponents_come_back(minillm, table):
    code, out, err = minillm("isoflop", table, *COLUMNS, "--json")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert record["laws"]["N_opt"]["n"] == pytest.approx(0.5)
    assert record["laws"]["D_opt"]["n"] == pytest.approx(0.5)
    assert record["n"] == 15


def test_people_get_a_table_and_the_next_command(minillm, table):
    code, out, err = minillm("isoflop", table, *COLUMNS, "--bootstrap", "50")
    assert code == 0
    assert "N_opt = 0.1·C^0.5000" in out
    assert any(line.split()[:3] == ["1e18", "5", "1e8"] for line in out.splitlines())
    argv = ["isoflop", table, *COLUMNS, "--bootstrap", "50", "--plot", "isoflop.svg"]
    assert err == f"next: minillm {shlex.join(argv)}\n"


def test_a_plot_is_drawn(minillm, table, tmp_path):
    figure = tmp_path / "isoflop.svg"
    code, out, err = minillm("isoflop", table, *COLUMNS, "--plot", str(figure))
    assert (code, err, out.splitlines()[-1]) == (0, "", str(figure))
    assert figure.read_text(encoding="utf-8").startswith("<?xml")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["no.csv"], 3, "no.csv"),
        (["{table}"], 2, "no column D or C"),
        (["{table}", *COLUMNS, "--y", "accuracy"], 2, "accuracy"),
        (["{table}", *COLUMNS, "--bootstrap", "0"], 2, "bootstrap 0"),
    ],
)
def test_bad_input_is_refused(minillm, table, argv, code, words):
    got, out, err = minillm("isoflop", *(arg.format(table=table) for arg in argv))
    assert (got, out) == (code, "")
    assert words in err


def test_the_sizes_follow_from_tokens_and_flops(minillm, tmp_path):
    rows = ["D,C,loss"]
    for flops in (1e18, 1e19, 1e20):
        for shift in (-0.8, -0.4, 0, 0.4, 0.8):
            n = 0.1 * flops**0.5 * 10**shift
            loss = 3 * flops**-0.01 + 0.2 * shift**2
            rows.append(f"{flops / 6 / n!r},{flops!r},{loss!r}")
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(rows), encoding="utf-8")
    out = minillm("isoflop", str(path), "--bootstrap", "50")[1]
    assert "N = C/(6·D), as no column of N is there" in out
    assert "N_opt = 0.1·C^0.5000" in out
    assert json.loads(minillm("isoflop", str(path), "--json")[1])["derived"]
