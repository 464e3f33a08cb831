"""`minillm compare` on two made-up runs."""

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
    assert ["validation", "loss", "(nats/token)", "2.0000", "1.9000"] in lines
    assert err.startswith("next: minillm compare ")


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
