"""`minillm finetune` and `minillm classify`: tables, objects, errors in one line."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from minillm import train

QUICK = ["--device", "cpu", "--workers", "1", "--epochs", "2"]


@pytest.fixture(scope="module")
def rows(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("rows") / "评论.tsv"
    kinds = [("the sea is wide", "sea"), ("灯塔 is bright", "灯")]
    texts = [f"{kinds[n % 2][0]} {n}\t{kinds[n % 2][1]}\n" for n in range(40)]
    path.write_text("".join(texts), encoding="utf-8")
    return str(path)


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    out = tmp_path_factory.mktemp("runs") / "base"
    shape = {"layers": 1, "width": 16, "context": 16, "batch": 8, "steps": 2}
    options = {"data": "bilingual", "tokenizer": "bytes", "device": "cpu"}
    train(**shape, **options, workers="1", out=out, draw=False)
    return str(out)


@pytest.fixture(scope="module")
def tuned(base, rows) -> str:
    from minillm import finetune

    out = Path(base).parent / "tuned"
    finetune(base, rows, out=out, baselines=False, device="cpu", workers="1")
    return str(out)


def test_people_get_the_figures_and_the_next_command(minillm, base, rows, tmp_path):
    out = str(tmp_path / "猫")
    argv = ["finetune", base, "--data", rows, "--out", out, *QUICK]
    code, stdout, err = minillm(*argv)
    assert code == 0
    for words in ("precision", "macro F1", "灯", "from new weights", "commonest"):
        assert words in stdout
    assert err.splitlines()[-1] == f"next: minillm classify '{out}' \"TEXT\""
    record = json.loads(Path(out, "finetune.json").read_text(encoding="utf-8"))
    _, again, err = minillm(*argv, "--json")
    assert json.loads(again) == record
    assert err.count("finished already: nothing trained; choose another --out\n") == 2
    assert f"{record['accuracy']:.1%}" in stdout


def test_without_baselines_there_are_none(minillm, base, rows, tmp_path):
    argv = ["--data", rows, "--out", str(tmp_path / "a"), *QUICK, "--no-baselines"]
    code, out, _ = minillm("finetune", base, *argv)
    assert code == 0
    assert "fine-tuned" in out
    assert "commonest" not in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["{base}"], 2, "--data"),
        (["no/run", "--data", "{rows}"], 3, "no/run: there is no such run"),
        (
            ["{rows}", "--data", "{rows}"],
            3,
            "评论.tsv: is a file, and a run is a folder",
        ),
        (["{base}", "--data", "no.tsv"], 3, "no.tsv"),
        (["{base}", "--data", "{empty}"], 3, "empty.tsv"),
        (["{base}", "--data", "{rows}", "--epochs", "0"], 2, "epochs must be"),
        (["{base}", "--data", "{rows}", "--epochs", "x"], 2, "--epochs"),
        (["{base}", "--data", "{rows}", "--batch", "0"], 2, "batch must be"),
        (["{base}", "--data", "{rows}", "--task", "guess"], 2, "guess"),
        (["{base}", "--data", "{rows}", "--device", "tpu"], 2, "tpu"),
        (["{base}", "--data", "{rows}", "--workers", "0"], 2, "--workers 0"),
        (["{base}", "--data", "{rows}", "--seed", "-1"], 2, "seed"),
        (["{base}", "--data", "{rows}", "--out", "{rows}"], 2, "is a file"),
        (["{base}", "--data", "{rows}", "--out", "{base}"], 2, "another run"),
        (["{tuned}", "--data", "{other}"], 3, "its labels are a, b, and those"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    minillm, base, rows, tuned, tmp_path, monkeypatch, argv, code, words
):
    monkeypatch.chdir(tmp_path)
    Path("empty.tsv").write_text("", encoding="utf-8")
    labels = "".join(f"text {n}\t{'ab'[n % 2]}\n" for n in range(20))
    Path("other.tsv").write_text(labels, encoding="utf-8")
    named = {"base": base, "rows": rows, "tuned": tuned}
    named |= {"empty": "empty.tsv", "other": "other.tsv"}
    got, out, err = minillm("finetune", *(arg.format(**named) for arg in argv))
    assert (got, out) == (code, "")
    (error,) = [line for line in err.splitlines() if line.startswith("minillm:")]
    assert words in error
    assert "Traceback" not in err
    files = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {"empty.tsv", "other.tsv"}


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX signals")
def test_ctrl_c_says_how_to_go_on_and_that_goes_on(base, rows, tmp_path):
    out = str(tmp_path / "a")
    argv = ["--data", rows, *QUICK, "--epochs", "20000", "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "minillm", "finetune", base, *argv],
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
    )
    assert any(line.startswith("step ") for line in process.stderr)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    how = f"minillm finetune {base} --data '{rows}' --epochs 20000 --out {out}"
    assert err.splitlines()[-1] == f"minillm: interrupted; go on with: {how}"
    record = json.loads(Path(out, "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "interrupted"


def test_eval_looks_at_all_rows_of_another_file(minillm, tuned, tmp_path):
    rows = tmp_path / "rows.tsv"
    rows.write_text("the sea\tsea\n灯塔\t灯\n" * 6, encoding="utf-8")
    code, out, _ = minillm("eval", tuned, "--data", str(rows))
    assert code == 0
    assert "on rows of rows.tsv" in " ".join(out.split())
    record = json.loads(minillm("eval", tuned, "--data", str(rows), "--json")[1])
    assert record["val_labels"] == 12
    assert "on the validation part of" in " ".join(minillm("eval", tuned)[1].split())


def test_classify_gives_a_label_and_probabilities(minillm, tuned, tmp_path):
    texts = ["the sea 海", "灯塔"]
    lines = tmp_path / "lines.txt"
    lines.write_text("a line\r\n\n  \nanother\n", encoding="utf-8")
    argv = ["classify", tuned, *texts, "--file", str(lines)]
    code, out, err = minillm(*argv, "--json")
    assert (code, err) == (0, "")
    record = json.loads(out)
    assert [each["text"] for each in record["texts"]] == [*texts, "a line", "another"]
    for each in record["texts"]:
        assert set(each["probabilities"]) == {"sea", "灯"}
        assert sum(each["probabilities"].values()) == pytest.approx(1)
        p = each["probabilities"]
        assert each["label"] == max(p, key=p.__getitem__)
    table = minillm(*argv)[1]
    assert "another" in table
    assert f"{record['texts'][0]['probabilities']['sea']:.1%}" in table


def test_classify_names_the_characters_that_are_not_known(minillm, tmp_path):
    shape = {"layers": 1, "width": 16, "context": 16, "batch": 8, "steps": 1}
    options = {"objective": "classify", "data": "languages:rows=100"}
    options |= {"tokenizer": "chars", "device": "cpu", "workers": "1"}
    train(**shape, **options, out=tmp_path / "a", draw=False)
    err = minillm("classify", str(tmp_path / "a"), "灯 difa", "DIFA灯", "difa")[2]
    told = "40.0% of the characters of the texts ('灯' 'D' 'I' 'F' 'A'): "
    assert err.startswith(f"note: the model has no token for {told}")


def test_classify_says_which_texts_it_does_not_see_whole(minillm, tuned):
    code, out, err = minillm("classify", tuned, "灯" * 20, "sea", "--json")
    assert code == 0
    assert len(json.loads(out)["texts"]) == 2
    assert "sees 16 tokens at once, and not the end of 1 of 2 texts" in err


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["{base}", "a"], 2, "`minillm finetune` teaches that"),
        (["{tuned}"], 2, "--file"),
        (["{tuned}", " "], 2, "empty text"),
        (["{tuned}", "--file", "no.txt"], 3, "no.txt"),
        (["{tuned}", "--file", "blank.txt"], 3, "blank.txt: holds no text"),
        (["no/run", "a"], 3, "no/run"),
    ],
)
def test_what_cannot_be_classified_is_one_line(
    minillm, base, tuned, tmp_path, monkeypatch, argv, code, words
):
    monkeypatch.chdir(tmp_path)
    Path("blank.txt").write_text("\n \n", encoding="utf-8")
    argv = [arg.format(base=base, tuned=tuned) for arg in argv]
    got, out, err = minillm("classify", *argv)
    assert (got, out, err.count("\n")) == (code, "", 1)
    assert words in err


def test_an_encoder_decoder_learns_to_answer(minillm, tmp_path):
    options = {"data": "reverse:rows=100", "tokenizer": "chars", "device": "cpu"}
    shape = {"layers": 1, "width": 16, "context": 16, "batch": 8, "steps": 2}
    run = tmp_path / "base"
    train(objective="seq2seq", **options, **shape, workers="1", out=run, draw=False)
    out = str(tmp_path / "a")
    argv = ["--task", "seq2seq", "--data", "copy:rows=100", "--out", out, *QUICK]
    code, stdout, err = minillm("finetune", str(run), *argv)
    assert code == 0
    assert "right to the letter" in stdout
    assert "from new weights" in stdout
    assert "commonest" not in stdout
    assert err.splitlines()[-1] == f'next: minillm generate {out} "SOURCE"'
    record = json.loads(minillm("finetune", str(run), *argv, "--json")[1])
    assert {"exact_match", "loss", "bleu", "rouge_l", "baselines"} <= set(record)
