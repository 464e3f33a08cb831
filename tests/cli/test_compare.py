"""`minillm compare` on two made-up runs, and on two made-up series."""

import json

import pytest


@pytest.fixture
def runs(tmp_path):
    folders = []
    for name, lr, loss in (("猫", 0.01, 2.0), ("b", 0.02, 1.9)):
        folder = tmp_path / name
        folder.mkdir()
        record = {
            "status": "finished",
            "config": {"arch": "lstm"},
            "options": {"lr": lr},
            "data": {"tokenizer": {"sha256": "a"}},
            "parameters": {"non_embedding": 1000},
            "results": {"val_loss": loss, "tokens": 1000},
        }
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
        line = '{"step": 1, "tokens": 500, "loss": 3.0, "seconds": 1.0}\n'
        (folder / "metrics.jsonl").write_text(line, encoding="utf-8")
        folders.append(str(folder))
    return folders


def test_a_comparison_as_json(minillm, runs):
    code, out, err = minillm("compare", *runs, "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert result["differences"] == {"lr": [0.01, 0.02]}
    assert [run["name"] for run in result["runs"]] == ["猫", "b"]


def test_people_get_tables_and_the_next_command(minillm, runs):
    code, out, err = minillm("compare", *runs)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["lr", "0.01", "0.02"] in lines
    assert ["architecture", "lstm", "lstm"] in lines
    assert ["validation", "loss", "(nats/token)", "2.0000", "1.9000"] in lines
    assert err.startswith("next: minillm compare ")


def test_the_next_command_is_short(minillm, runs):
    code, _, err = minillm("compare", *runs * 100)
    assert (code, err) == (0, "next: add --plot curves.svg to this command\n")


def test_curves_are_drawn(minillm, runs, tmp_path):
    figure = tmp_path / "curves.svg"
    code, out, err = minillm("compare", *runs, "--plot", str(figure), "--x", "seconds")
    assert (code, err) == (0, "")
    assert str(figure) in out
    assert "seconds of training" in figure.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["{0}"], 2, "at least two"),
        (["{0}", "nowhere"], 3, "nowhere"),
        (["{0}", "{1}", "--x", "hours"], 2, "hours"),
    ],
)
def test_bad_input_is_refused(minillm, runs, argv, code, words):
    got, out, err = minillm("compare", *(arg.format(*runs) for arg in argv))
    assert (got, out) == (code, "")
    assert words in err


@pytest.fixture
def series(tmp_path):
    folders = []
    for arch, alpha in (("gpt", 0.4), ("lstm", 0.3)):
        records = [
            {
                "config": {"arch": arch},
                "options": {"out": str(n)},
                "data": {"name": "文", "tokenizer": {}},
                "parameters": {"non_embedding": n},
                "results": {"val_loss": 1.5 + 20 * n**-alpha, "tokens": 1e6},
            }
            for n in (1e3, 4e3, 1.6e4, 6.4e4)
        ]
        folder = tmp_path / f"{arch} 系列"
        folder.mkdir()
        text = json.dumps({"runs": records})
        (folder / "scale.json").write_text(text, encoding="utf-8")
        folders.append(str(folder))
    return folders


def test_series_are_compared_by_their_laws(minillm, series, tmp_path):
    code, out, err = minillm("compare", *series)
    assert code == 0
    lines = [line.split() for line in out.splitlines()]
    assert ["alpha", "0.4", "0.3"] in lines
    assert ["architecture", "gpt", "lstm"] in lines
    assert err.endswith(" --plot laws.svg\n")
    figure = tmp_path / "laws.svg"
    code, out, err = minillm("compare", *series, "--plot", str(figure), "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["figure"] == str(figure)
    assert "lstm: 1.5 + 20" in figure.read_text(encoding="utf-8")


def test_runs_and_series_are_not_mixed(minillm, runs, series):
    code, out, err = minillm("compare", runs[0], series[0])
    assert (code, out) == (2, "")
    assert "is no series" in err
    assert minillm("compare", *series, "--x", "flops")[0] == 2
    assert minillm("compare", series[0], "nowhere")[0] == 3


@pytest.mark.parametrize(
    "argv", [["compare", "{}", "{}"], ["report", "{}"], ["emergence", "{}"]]
)
def test_a_table_is_no_folder(minillm, tmp_path, argv):
    path = tmp_path / "runs.csv"
    path.write_text("N,loss\n1e4,3\n", encoding="utf-8")
    code, out, err = minillm(*(word.format(path) for word in argv))
    assert (code, out) == (3, "")
    assert "runs.csv: is a file, not a folder: a table of runs is for" in err
