"""`minillm train`, `generate` and `eval` on a model of a few steps."""

import dataclasses
import json
import math
import shlex
from pathlib import Path

import pytest

from minillm import models
from minillm.learning.config import TrainConfig
from minillm.learning.settings import word
from minillm_cli.main import main
from minillm_cli.train import command

SHAPE = ["--size", "pico", "--context", "16", "--batch", "4", "--tokenizer", "chars"]
SHORT = [*SHAPE, "--steps", "6", "--device", "cpu", "--workers", "1"]


@pytest.fixture(scope="module")
def book(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("text") / "书.txt"
    path.write_text("学而时习之，不亦说乎？ To learn, and to use it.\n" * 200, "utf-8")
    return str(path)


@pytest.fixture(scope="module")
def run(book, tmp_path_factory) -> str:
    """The folder of a trained run."""
    out = tmp_path_factory.mktemp("runs") / "a"
    assert main(["train", *SHORT, "--data", book, "--out", str(out), "--json"]) == 0
    return str(out)


def read_record(run: str) -> dict:
    with open(f"{run}/run.json", encoding="utf-8") as file:
        return json.load(file)


def test_every_field_is_an_option_with_the_field_s_default():
    options = {param.name: param for param in command.params}
    for field in dataclasses.fields(TrainConfig):
        assert options[word(field.name)].default == field.default


def test_json_is_the_record_and_nothing_else(minillm, book, tmp_path):
    out = str(tmp_path / "b")
    code, stdout, err = minillm(
        "train", *SHORT, "--data", book, "--out", out, "--json", "--seed", "3"
    )
    record = json.loads(stdout)
    assert code == 0
    assert record == read_record(out)
    assert 0 < record["results"]["val_loss"] < 2 * math.log(60)
    assert record["sources"]["seed"] == "command line"
    assert record["sources"]["lr"] == "default"
    assert f"next: minillm generate {out}" in err


def test_people_get_a_table(minillm, book, tmp_path):
    out = str(tmp_path / "b")
    code, stdout, _ = minillm("train", *SHORT, "--data", book, "--out", out)
    assert code == 0
    loss = read_record(out)["results"]["val_loss"]
    assert f"{loss:.4f}" in stdout


def test_a_masked_model_trains_and_is_sent_to_fill(minillm, book, tmp_path):
    out = str(tmp_path / "b")
    code, _, err = minillm(
        "train", *SHORT, "--data", book, "--out", out, "--objective", "mlm"
    )
    assert code == 0
    assert f"next: minillm fill {out} " in err


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_the_next_command_is_one_for_the_text(minillm, tmp_path, objective):
    book = tmp_path / "书.txt"
    book.write_text("灯塔亮着,海很黑。\n" * 500, encoding="utf-8")
    out = str(tmp_path / "b")
    argv = [*SHORT, "--data", str(book), "--out", out, "--objective", objective]
    err = minillm("train", *argv, "--tokenizer", "chars")[2]
    last = err.splitlines()[-1]
    argv = shlex.split(last)[2:]
    assert argv[-1] == {"clm": "灯塔亮着", "mlm": "灯塔亮着[MASK]"}[objective]
    code, _, err = minillm(*argv)
    assert (code, err) == (0, "")


def test_a_short_text_that_is_gone_over_often_is_told(minillm, tmp_path):
    book = tmp_path / "book.txt"
    book.write_text("The lamp was lit.\n" * 20, encoding="utf-8")
    argv = ["train", "--size", "pico", "--data", str(book), "--context", "8"]
    argv += ["--tokenizer", "bytes", "--device", "cpu", "--out", str(tmp_path / "b")]
    assert " times over the same text: " in minillm(*argv, "--steps", "60")[2]


def test_a_record_repeats_its_run(minillm, run, tmp_path):
    again = str(tmp_path / "again")
    assert minillm("train", "--config", f"{run}/run.json", "--out", again)[0] == 0
    first, second = read_record(run), read_record(again)
    assert first["results"]["val_loss"] == second["results"]["val_loss"]
    assert second["sources"]["steps"] == "file"
    assert second["sources"]["out"] == "command line"


def test_a_file_has_one_word_for_a_setting(minillm, tmp_path):
    own, out = tmp_path / "own.toml", str(tmp_path / "a")
    argv = ["train", "--config", str(own), "--data", str(tmp_path / "none.txt")]
    own.write_text("n_layers = 1\nwidth = 30\nn_heads = 4\n", encoding="utf-8")
    code, _, err = minillm(*argv, "--out", out)
    assert (code, "width 30 cannot be divided among 4 heads" in err) == (2, True)
    own.write_text("layers = 1\nn_layers = 1\n", encoding="utf-8")
    code, _, err = minillm(*argv, "--out", out)
    assert (code, "layers is given twice, once as n_layers" in err) == (2, True)


def test_resume_asks_for_nothing_but_the_folder(minillm, run):
    code, out, err = minillm("train", "--resume", "--out", run, "--json")
    assert code == 0
    assert json.loads(out) == read_record(run)
    assert "finished" in err


def test_a_length_in_a_stronger_place_overrules_the_other(minillm, run, tmp_path):
    out = str(tmp_path / "longer")
    argv = ["--config", f"{run}/run.json", "--tokens", str(4 * 16 * 9), "--out", out]
    assert minillm("train", *argv)[0] == 0
    assert read_record(out)["results"]["steps"] == 9


def test_a_size_in_a_stronger_place_overrules_the_shape(minillm, book, tmp_path):
    file = tmp_path / "shape.toml"
    file.write_text("layers = 1\nwidth = 8\nheads = 1", encoding="utf-8")
    out = str(tmp_path / "b")
    argv = [*SHORT, "--data", book, "--out", out, "--config", str(file)]
    assert minillm("train", *argv)[0] == 0
    config = read_record(out)["config"]
    assert (config["n_layers"], config["d_model"]) == (2, 16)


def test_generate_continues_the_prompt(minillm, run):
    argv = ["generate", run, "学而", "--max-tokens", "12", "--seed", "1"]
    code, out, err = minillm(*argv)
    assert (code, err) == (0, "")
    assert out.startswith("学而")
    assert len(out) == 2 + 12 + 1
    assert minillm(*argv)[1] == out
    record = json.loads(minillm(*argv, "--json")[1])
    assert record["prompt"] + record["text"] + "\n" == out


def test_an_architecture_that_cannot_write_is_sent_to_eval(
    minillm, book, tmp_path, monkeypatch
):
    only_hidden = models.architectures.Architecture("encoder.Encoder", ("clm",))
    monkeypatch.setitem(models.ARCHITECTURES, "gpt", only_hidden)
    out = str(tmp_path / "a")
    code, _, err = minillm("train", *SHORT, "--data", book, "--out", out)
    assert code == 0
    assert err.splitlines()[-1] == f"next: minillm eval {out}"
    assert minillm("eval", out)[0] == 0
    for argv in (["generate", out, "a"], ["generate", out, "a", "--stream"]):
        code, printed, err = minillm(*argv)
        assert (code, printed, err.count("\n")) == (2, "", 1)
        assert "is of arch gpt, which cannot continue a text" in err


def test_what_answers_a_source_is_sent_to_generate(minillm, tmp_path):
    out = str(tmp_path / "a")
    argv = [*SHORT, "--objective", "seq2seq", "--data", "copy:rows=100", "--out", out]
    code, _, err = minillm("train", *argv)
    assert code == 0
    assert err.splitlines()[-1] == f'next: minillm generate {out} "SOURCE"'


def test_eval_measures_what_training_measured_and_the_last_tokens(minillm, run, book):
    record = json.loads(minillm("eval", run, "--json")[1])
    trained = read_record(run)
    loss = trained["results"]["val_loss"]
    assert record["val_loss"] == pytest.approx(loss, rel=0.02)
    assert record["val_tokens"] == trained["data"]["val_tokens"] - 1
    code, out, err = minillm("eval", run, "--data", book)
    assert (code, err) == (0, "")
    assert f"{run} on the validation part of {Path(book).name}" in out
    assert f"{record['val_loss']:.4f}" in out


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["generate", "no/run", "a"], 3, "no/run"),
        (["generate", "{run}", "a", "--temperature", "-1"], 2, "temperature"),
        (["eval", "{run}", "--data", "no/text"], 3, "no/text"),
        (["train", "--data", "no/text", "--steps", "1"], 3, "no/text"),
        (["train", "--data", "{book}", "--width", "10", "--heads", "3"], 2, "10"),
        (["train", "--device", "tpu"], 2, "tpu"),
        (["train", "--steps", "1", "--tokens", "1"], 2, "--tokens"),
        (["train", "--out", "{run}", "--seed", "9"], 2, "another run"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(
    minillm, run, book, tmp_path, monkeypatch, argv, code, words
):
    monkeypatch.chdir(tmp_path)
    before = read_record(run)
    got, out, err = minillm(*(arg.format(run=run, book=book) for arg in argv))
    assert (got, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    assert read_record(run) == before


@pytest.mark.parametrize("workers", ["0", "threads:0", "processes:9"])
def test_workers_without_work_are_refused(minillm, book, tmp_path, workers):
    out = tmp_path / "b"
    argv = ["--data", book, "--out", str(out), "--workers", workers]
    code, stdout, err = minillm("train", *SHORT, *argv)
    assert (code, stdout) == (2, "")
    assert err.count("\n") == 1
    assert f"--workers {workers}: " in err
    assert not out.exists()
