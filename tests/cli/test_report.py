"""`minillm report` on made-up runs."""

import json

import pytest


@pytest.fixture
def runs(tmp_path):
    for n in (1000, 2000, 4000, 8000, 16000):
        folder = tmp_path / "runs" / f"猫{n}"
        folder.mkdir(parents=True)
        record = {
            "status": "finished",
            "config": {"n_layers": 1, "d_model": n},
            "data": {"name": "猫", "sha256": "a", "tokenizer": {"kind": "bytes"}},
            "parameters": {"non_embedding": n},
            "results": {"val_loss": 1.5 + 20 * n**-0.5, "tokens": 10_000},
        }
        (folder / "run.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def test_a_page_is_written_beside_the_runs(minillm, runs):
    code, out, err = minillm("report", str(runs))
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == str((runs / "report.html").resolve())
    assert "L(N) = 1.500 + 20·N^(−0.500)" in out
    assert "猫" in (runs / "report.html").read_text(encoding="utf-8")


def test_the_sentences_as_json(minillm, runs, tmp_path):
    page = tmp_path / "page.html"
    code, out, err = minillm("report", str(runs), "--out", str(page), "--json")
    assert (code, err) == (0, "")
    said = json.loads(out)
    assert said["page"] == str(page.resolve())
    assert {"title", "findings", "not_shown", "missing", "excluded"} < set(said)


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["nowhere"], 3, "nowhere"),
        (["{0}", "--out", "{0}"], 2, "is a folder"),
        ([], 2, "RUNS"),
    ],
)
def test_bad_input_is_refused(minillm, runs, argv, code, words):
    got, out, err = minillm("report", *(arg.format(runs) for arg in argv))
    assert (got, out) == (code, "")
    assert words in err
