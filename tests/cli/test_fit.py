"""`minillm fit` on a table whose law is known."""

import json
import shlex

import pytest


@pytest.fixture
def table(tmp_path):
    sizes = [10_000 * 2**i for i in range(8)]
    rows = [f"{n},{1.5 + 80 * n**-0.4!r}" for n in sizes]
    path = tmp_path / "表.csv"
    path.write_text("\n".join(["N,loss", *rows]), encoding="utf-8")
    return str(path)


def test_the_law_comes_back(minillm, table):
    code, out, err = minillm("fit", table, "--json")
    record = json.loads(out)
    assert (code, err) == (0, "")
    assert record["parameters"] == pytest.approx({"E": 1.5, "A": 80, "alpha": 0.4})
    assert record["standard_errors"] == {}
    assert record["n"] == 8


def test_the_options_reach_the_fit(minillm, table):
    argv = ["--loss", "lsq", "--no-floor", "--bootstrap", "20", "--json"]
    record = json.loads(minillm("fit", table, *argv)[1])
    assert list(record["parameters"]) == ["A", "alpha"]
    assert list(record["standard_errors"]) == ["A", "alpha"]
    assert record["law"] == "loss = A·N^(−alpha)"


def test_two_sizes_may_share_an_exponent(minillm, tmp_path):
    rows = [
        f"{n:g}\t{d:g}\t{1.5 + 80 * n**-0.4 + 300 * d**-0.4!r}\t0.01"
        for n in (1e4, 1e5, 1e6)
        for d in (1e5, 1e6, 1e7)
    ]
    path = tmp_path / "runs.tsv"
    path.write_text("\n".join(["N\tD\tloss\ts", *rows]), encoding="utf-8")
    argv = ["--x", "N", "--x", "D", "--tied", "--loss", "lsq", "--log-sigma", "s"]
    record = json.loads(minillm("fit", str(path), *argv, "--json")[1])
    truth = {"E": 1.5, "A": 80, "alpha": 0.4, "B": 300, "beta": 0.4}
    assert record["parameters"] == pytest.approx(truth)
    assert record["law"] == "loss = E + A·N^(−alpha) + B·D^(−alpha)"


def test_what_else_is_known_is_printed(minillm, table):
    with open(table, "a", encoding="utf-8") as file:
        file.write("\n5e6,nan\n3e6,1.72\n")
    out = minillm("fit", table, "--bootstrap", "20")[1]
    told = "9 points, 1 left out: loss is nan: missing or diverged (line 10)"
    assert f"fitted to {told}" in out
    assert "the floor E is distinguishable from 0" in out
    assert "AICc: power + floor" in out
    assert "without line" in out
    assert "alpha changes by" in " ".join(out.split())


def test_people_get_a_table_and_the_next_command(minillm, table):
    code, out, err = minillm("fit", table, "--bootstrap", "20")
    assert code == 0
    assert "loss = E + A·N^(−alpha)" in out
    assert any(line.split()[:2] == ["alpha", "0.4"] for line in out.splitlines())
    assert err.startswith(f"next: minillm fit {shlex.quote(table)} --bootstrap 20 ")


def test_the_next_command_repeats_what_was_given(minillm, table, tmp_path):
    config = tmp_path / "fit.toml"
    config.write_text("bootstrap = 20", encoding="utf-8")
    options = ["--x", "N", "--loss", "lsq", "--no-floor", "--config", str(config)]
    err = minillm("fit", table, *options)[2]
    expected = shlex.join(["minillm", "fit", table, *options, "--plot", "law.svg"])
    assert err == f"next: {expected}\n"


def test_a_plot_is_drawn(minillm, table, tmp_path):
    figure = tmp_path / "law.svg"
    code, out, err = minillm("fit", table, "--plot", str(figure))
    assert (code, err, out.splitlines()[-1]) == (0, "", str(figure))
    assert figure.read_text(encoding="utf-8").startswith("<?xml")


def test_rows_left_out_take_one_line(minillm, table):
    with open(table, "a", encoding="utf-8") as file:
        file.write("\n# a second series" + "\n0,3" * 40 + "\ninf,3\n,3" * 20 + "\n")
    out, err = minillm("fit", table)[1:]
    (line,) = [line for line in out.splitlines() if "left out" in line]
    assert line == (
        "fitted to 8 points, 80 left out: N is 0 (lines 11–50); N is infinite (lines "
        "51, 53, 55, 57, 59, …, 89); N is missing (lines 52, 54, 56, 58, 60, …, 90)"
    )
    assert f"note: {table}: skipped as comments, for their #: line 10\n" in err


def test_a_decimal_mark_may_be_named(minillm, tmp_path):
    path = tmp_path / "runs.csv"
    rows = [f"{10**i},000;{1.5 + 80 * (1000 * 10**i) ** -0.4:.6f}" for i in range(6)]
    path.write_text("\n".join(["N;loss", *rows[:3]]), encoding="utf-8")
    for command in ("fit", "isoflop", "plan --flops 1e12 --law"):
        code, out, err = minillm(*command.split(), str(path))
        if command != "isoflop":  # which names the columns it lacks first
            assert (code, out) == (3, "")
            assert "line 2: N is '1,000', which can be 1000 or 1" in err
        assert minillm(*command.split(), str(path), "--decimal", "x")[0] == 2
    code, out, err = minillm("fit", str(path), "--no-floor", "--decimal", ".", "--json")
    assert (code, json.loads(out)["ranges"]) == (0, {"N": [1e3, 1e5]})
    assert err == f"note: {path}, line 2: N is '1,000', read as 1000\n"


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["no.csv"], 3, "no.csv"),
        (["{table}", "--y", "accuracy"], 2, "accuracy"),
        (["{table}", "--group", "trunk"], 2, "trunk"),
        (["{table}", "--seed", "-1"], 2, "seed -1"),
        (["{table}", "--x", "N", "--x", "N", "--x", "loss"], 2, "one or two"),
    ],
)
def test_bad_input_is_refused(minillm, table, argv, code, words):
    got, out, err = minillm("fit", *(arg.format(table=table) for arg in argv))
    assert (got, out) == (code, "")
    assert words in err


@pytest.mark.slow
def test_rows_may_share_a_run(minillm, tmp_path):
    rows = [
        f"{n:g},{d:g},{1.5 + 80 * n**-0.4 + 300 * d**-0.5 + luck!r},α{n:g}"
        for n, luck in ((1e4, 0.004), (3e4, -0.003), (1e5, 0.001), (3e5, -0.002))
        for d in (1e6, 2e6, 4e6)
    ]
    path = tmp_path / "runs.csv"
    path.write_text("\n".join(["N,D,loss,trunk", *rows]), encoding="utf-8")
    argv = ["fit", str(path), "--x", "N", "--x", "D"]
    out = minillm(*argv, "--group", "trunk")[1]
    assert "fitted to 12 points of 4 runs, 0 left out" in out
    assert "warning: trunk has 4 values in 12 rows" in minillm(*argv)[1]
    assert json.loads(minillm(*argv, "--group", "trunk", "--json")[1])["runs"] == 4


def test_a_parameter_may_be_known(minillm, table):
    argv = ["fit", table, "--fix", "E=1.5", "--fix", "alpha = 0.4", "--bootstrap", "20"]
    record = json.loads(minillm(*argv, "--json")[1])
    assert record["fixed"] == {"E": 1.5, "alpha": 0.4}
    assert record["parameters"]["A"] == pytest.approx(80)
    assert record["interval95"]["E"] == [1.5, 1.5]
    assert record["standard_errors"]["alpha"] == 0
    out, err = minillm(*argv)[1:]
    lines = [line.split() for line in out.splitlines()]
    assert ["E", "1.5", "fixed", "–", "–"] in lines
    assert "E changes by" not in out
    assert f"--fix E=1.5 --fix {shlex.quote('alpha = 0.4')} --bootstrap 20" in err


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--fix", "E"], "--fix E: write it as E=1.6"),
        (["--fix", "E=1,6"], "write it as E=1.6"),
        (["--fix", "E=1", "--fix", "E=2"], "E is 1 already"),
        (["--fix", "e=1"], "fix e: this law has E, A, alpha"),
        (["--fix", "E=1", "--no-floor"], "fix E: this law has A, alpha"),
    ],
)
def test_what_cannot_be_fixed_is_refused(minillm, table, argv, words):
    code, out, err = minillm("fit", table, *argv)
    assert (code, out) == (2, "")
    assert words in err


def test_the_best_of_a_sweep(minillm, tmp_path):
    rows = [
        f"{n},{rate},{(1.5 + 80 * n**-0.4) * worse!r}"
        for n in (10_000 * 2**i for i in range(8))
        for rate, worse in ((1e-4, 1.04), (1e-3, 1), (1e-2, 1.1))
    ]
    path = tmp_path / "sweep.csv"
    path.write_text("\n".join(["N,lr,loss", *rows]), encoding="utf-8")
    out = minillm("fit", str(path))[1]
    assert "warning: 24 rows share their N with a row of another lr" in out
    record = json.loads(minillm("fit", str(path), "--best", "--json")[1])
    assert record["parameters"] == pytest.approx({"E": 1.5, "A": 80, "alpha": 0.4})
    assert len(record["excluded"]) == 16
    assert "not the best loss of its N" in minillm("fit", str(path), "--best")[1]
