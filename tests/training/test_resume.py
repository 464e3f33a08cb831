"""Which folder a run may write to, and what it may be resumed with."""

import json
import shutil
import signal
import warnings
from dataclasses import replace
from pathlib import Path

import pytest

from minillm.backend import plain
from minillm.errors import (
    DataError,
    DivergedError,
    Interrupted,
    MinillmError,
    UsageError,
)
from minillm.learning.config import TrainConfig
from minillm.runs.resume import settle
from minillm.runs.run import load_run, read_record
from minillm.runs.train import Silent, train


class Interrupting(Silent):
    """Stops a run after its second step, as Ctrl-C does."""

    def step(self, line: dict) -> None:
        if line["step"] == 2:
            signal.raise_signal(signal.SIGINT)


class Listening(Silent):
    """Counts the steps and keeps the notes."""

    def __init__(self):
        self.notes = []
        self.steps = 0

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, line: dict) -> None:
        self.steps += 1


@pytest.fixture
def unfinished(quick_train, tmp_path) -> str:
    """The folder of a run that was interrupted."""
    with pytest.raises(Interrupted):
        quick_train("parts", reporter=Interrupting())
    return str(tmp_path / "parts")


def everything_in(folder) -> dict:
    return {
        path: path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def test_the_same_run_finished_is_handed_back(quick_train, tmp_path):
    record = quick_train("a")
    before = everything_in(tmp_path)
    for resume in (False, True):
        reporter = Listening()
        assert quick_train("a", reporter=reporter, resume=resume) == record
        assert reporter.steps == 0
        assert "finished already" in reporter.notes[0]
    assert everything_in(tmp_path) == before


def test_a_run_of_before_has_what_models_had(quick_train, tmp_path):
    record = quick_train("a")
    file = tmp_path / "a" / "run.json"
    content = json.loads(file.read_text("utf-8"))
    for part in ("options", "model", "config"):
        for name in ("norm_eps", "rope_base", "pooling"):
            del content[part][name]
    del content["options"]["d_ff"]
    file.write_text(json.dumps(content), encoding="utf-8")
    with pytest.warns(UserWarning, match="finished already"):
        assert quick_train("a")["results"] == record["results"]
    with pytest.raises(UsageError, match=r"with norm_eps 1e-05 instead of 0\.001"):
        quick_train("a", norm_eps=1e-3)
    assert load_run(tmp_path / "a").model.config.norm_eps == 1e-5
    quick_train("b", base=str(tmp_path / "a"), steps=1)


def test_what_a_model_has_of_its_own_is_in_its_record(quick_train, tmp_path):
    own = {"d_ff": 20, "norm_eps": 1e-3, "rope_base": 50.0, "pooling": "mean"}
    own |= {"positions": "rotary", "activation": "gelu_erf"}
    record = quick_train("a", **own)
    assert {name: record["model"][name] for name in own} == own
    block = load_run(tmp_path / "a").model.blocks[0]
    assert (block.feed_forward.up.weight.shape[1], block.norm1.eps) == (20, 1e-3)
    again = quick_train("b", base=str(tmp_path / "a"), **own)
    assert again["model"] == record["model"]


def test_other_workers_do_not_make_it_another_run(quick_train):
    record = quick_train("a")
    with pytest.warns(UserWarning, match="a: finished already: nothing trained"):
        again = quick_train("a", workers="threads:2", keep=5, save_every=1)
    assert again == record


def test_it_is_said_each_time_also_by_the_same_line_of_code(book, tmp_path):
    """As in a session at the prompt, where every line is line 1."""
    out = str(tmp_path / "a")
    options = {"size": "pico", "data": book, "tokenizer": "chars", "steps": 1}
    names = {"train": train, "options": {**options, "batch": 2, "out": out}}
    line = compile("train(**options)", "<stdin>", "single")
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")  # and not each time, as in other tests
        for _ in range(3):
            exec(line, names)
    assert [(each.filename, each.lineno) for each in told] == [("<stdin>", 1)] * 2
    assert "finished already: nothing trained" in str(told[1].message)


def test_a_run_of_other_code_is_said_to_be_one(quick_train, monkeypatch):
    quick_train("a")
    monkeypatch.setattr("minillm.runs.finished.code", lambda: "other")
    with pytest.warns(UserWarning, match="finished already, by another version of"):
        quick_train("a")


def test_overwrite_trains_again_and_leaves_what_is_no_run(quick_train, tmp_path):
    quick_train("a", steps=8)
    (tmp_path / "a" / "notes.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "a" / "checkpoints" / "mine").mkdir()
    record = quick_train("a", steps=12, overwrite=True)
    assert record["results"]["steps"] == 12
    assert (tmp_path / "a" / "notes.txt").read_text("utf-8") == "mine"
    names = {path.name for path in (tmp_path / "a" / "checkpoints").iterdir()}
    assert names >= {"mine", "step-000012"}
    assert "step-000008" not in names
    lines = (tmp_path / "a" / "metrics.jsonl").read_text("utf-8").splitlines()
    assert len(lines) == 12


def test_overwrite_wants_a_run_that_it_may_remove(quick_train, tmp_path):
    with pytest.raises(UsageError, match="overwrite= needs out="):
        train(overwrite=True)
    for resume in (True, "auto"):
        with pytest.raises(UsageError, match="cannot do both"):
            quick_train("a", overwrite=True, resume=resume)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="is not empty and holds no run"):
        quick_train("b", overwrite=True)
    assert (tmp_path / "b" / "notes.txt").exists()


@pytest.mark.parametrize(
    "options",
    [
        {"data": "no such file.txt", "tokenizer": "bytes"},
        {"d_model": 15},
        {"device": "cuda:999"},
        {"workers": "99"},
        {"arch": "bert"},
        {"start": "a"},
        {"start": "nothing"},
        {"base": "nothing"},
        {"steps": 3, "resume": True},
    ],
)
def test_what_cannot_be_trained_overwrites_nothing(
    quick_train, tmp_path, monkeypatch, options
):
    monkeypatch.chdir(tmp_path)
    quick_train("a", steps=2)
    before = everything_in(tmp_path / "a")
    with pytest.raises(MinillmError):
        quick_train("a", **{"steps": 2, "overwrite": True, **options})
    assert everything_in(tmp_path / "a") == before


def test_a_start_that_does_not_fit_overwrites_nothing(quick_train, tmp_path):
    quick_train("trunk", steps=10, branch=True, warmup=1)
    quick_train("a", steps=2)
    before = everything_in(tmp_path / "a")
    longer = {"steps": 20, "warmup": 1, "start": str(tmp_path / "trunk")}
    for other in ({"lr": 0.5}, {"steps": 5}):
        with pytest.raises(UsageError, match="start="):
            quick_train("a", overwrite=True, **{**longer, **other})
        assert everything_in(tmp_path / "a") == before
    assert quick_train("a", overwrite=True, **longer)["results"]["steps"] == 20


def test_overwrite_is_refused_where_a_checkpoint_holds_something_else(
    quick_train, tmp_path
):
    quick_train("a", steps=2)
    (tmp_path / "a" / "checkpoints" / "step-000002" / "mine").touch()
    before = everything_in(tmp_path / "a")
    with pytest.raises(DataError, match="step-000002: holds something else"):
        quick_train("a", steps=2, overwrite=True)
    assert everything_in(tmp_path / "a") == before


def test_a_run_may_take_the_place_of_its_own_base(quick_train, tmp_path):
    quick_train("a", steps=2)
    record = quick_train("a", steps=3, overwrite=True, base=str(tmp_path / "a"))
    assert record["results"]["steps"] == 3


def test_resume_is_true_false_or_auto(quick_train):
    with pytest.raises(UsageError, match='must be True, False or "auto", got'):
        quick_train("a", resume="banana")


def test_auto_resumes_what_is_unfinished_and_begins_what_is_not(
    quick_train, unfinished, tmp_path
):
    record = quick_train("parts", resume="auto")
    assert record["status"] == "finished"
    assert quick_train("new", resume="auto", steps=2)["results"]["steps"] == 2
    whole = quick_train("whole")
    assert whole["results"]["val_loss"] == record["results"]["val_loss"]


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("seed", 1),
        ("lr", 0.5),
        ("steps", 11),
        ("d_model", 32),
        ("tokenizer", "bytes"),
        ("objective", "mlm"),
    ],
)
def test_another_run_is_refused(quick_train, tmp_path, option, value):
    quick_train("a")
    before = everything_in(tmp_path)
    with pytest.raises(UsageError, match=r"already holds another run.*another out="):
        quick_train("a", **{option: value})
    assert everything_in(tmp_path) == before


def with_lr(folder, times: float) -> float:
    """Change the rate that a run was trained with, as a change of the rule would;
    returns it."""
    path = Path(folder) / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["options"]["lr"] *= times
    path.write_text(json.dumps(record), encoding="utf-8")
    return record["options"]["lr"]


def test_a_rate_that_nobody_names_is_that_of_the_run(config, tmp_path):
    def rate(name="a", lr=None, overwrite=False, **options) -> float:
        made = replace(config(out=str(tmp_path / name), **options), lr=lr)
        how = {"overwrite": overwrite, "draw": False, "reporter": Silent()}
        return train(made, **how)["options"]["lr"]

    usual = rate()
    lr = with_lr(tmp_path / "a", 2)
    assert rate() == rate(lr=lr) == lr == 2 * usual
    with pytest.raises(UsageError, match=f"with lr {lr} instead of {usual}"):
        rate(lr=usual)
    start = config(start=str(tmp_path / "a"), out=str(tmp_path / "longer"))
    assert settle(replace(start, lr=None))[0].lr == lr
    # Not that of a run whose place it takes.
    assert rate(overwrite=True) == usual


def test_a_text_that_has_changed_makes_another_run(book, config, tmp_path):
    text = tmp_path / "text.txt"
    shutil.copy(book, text)
    options = config(out=str(tmp_path / "a"), data=str(text))
    record = train(options, draw=False)
    moved = tmp_path / "moved.txt"
    text.rename(moved)
    again = config(out=str(tmp_path / "a"), data=str(moved))
    with pytest.warns(UserWarning, match="finished already"):
        assert train(again, draw=False) == record
    moved.write_text(moved.read_text(encoding="utf-8") + "!", encoding="utf-8")
    with pytest.raises(UsageError, match="another text"):
        train(again, draw=False)


def test_an_unfinished_run_wants_to_be_resumed(quick_train, unfinished):
    with pytest.raises(UsageError, match=r"interrupted: add resume=True"):
        quick_train("parts")


def test_a_diverged_run_wants_another_learning_rate(quick_train):
    options = {"lr": 1e20, "clip": 0.0, "warmup": 1}
    with pytest.raises(DivergedError):
        quick_train("a", **options)
    with pytest.raises(UsageError, match=r"diverged: choose another out=, .*lr="):
        quick_train("a", **options)


def test_a_folder_with_something_else_is_refused(quick_train, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "thesis.tex").write_text("mine", encoding="utf-8")
    with pytest.raises(UsageError, match="not empty and holds no run"):
        quick_train("a")
    with pytest.raises(UsageError, match="a file, not a folder"):
        quick_train("a/thesis.tex")
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["thesis.tex"]


def test_an_empty_folder_is_taken(quick_train, tmp_path):
    (tmp_path / "a").mkdir()
    assert quick_train("a")["options"]["out"] == str(tmp_path / "a")


def test_runs_without_a_name_get_one_each(config, texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    outs = [
        train(config(), text=texts["clm"], draw=False)["options"]["out"]
        for _ in range(2)
    ]
    assert [Path(out).parts for out in outs] == [
        ("runs", "2x16-clm-1"),
        ("runs", "2x16-clm-2"),
    ]


def test_a_place_that_cannot_be_is_one_line(quick_train, tmp_path):
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(DataError, match="cannot be written") as caught:
        quick_train("file/a")
    assert "\n" not in str(caught.value)


def test_an_error_before_the_first_step_leaves_nothing(config, tmp_path):
    short = tmp_path / "short.txt"
    short.write_text("short", encoding="utf-8")
    out = tmp_path / "deep" / "run"
    with pytest.raises(DataError, match=r"short\.txt.*needs at least 17"):
        train(config(out=str(out), data=str(short)))
    with pytest.raises(DataError, match="no/text"):
        train(config(out=str(out), data="no/text"))
    with pytest.raises(UsageError, match="workers='9'"):
        train(config(out=str(out), workers="9"))
    assert not out.parent.exists()


def test_there_must_be_a_run_to_resume(quick_train, config, tmp_path):
    with pytest.raises(UsageError, match="which run"):
        train(config(), resume=True)
    with pytest.raises(DataError, match="no such run"):
        quick_train("nothing", resume=True)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="holds no run"):
        quick_train("empty", resume=True)
    assert [*tmp_path.iterdir()] == [tmp_path / "empty"]


def test_a_run_goes_on_at_its_newest_checkpoint_only(quick_train, tmp_path):
    quick_train("a", steps=2)
    last = tmp_path / "a" / "checkpoints" / "step-000002"
    before = sorted(last.iterdir())
    with pytest.raises(UsageError, match=f"say out='{tmp_path / 'a'}'$"):
        train(out=last, resume=True)
    assert sorted(last.iterdir()) == before


def test_two_that_begin_in_one_folder_at_once_are_one_run(
    quick_train, tmp_path, monkeypatch
):
    def slower(config):
        """The folder, after another process has had it."""
        monkeypatch.undo()
        quick_train("a", steps=3)
        return tmp_path / "a"

    monkeypatch.setattr("minillm.runs.begin.new_folder", slower)
    with pytest.raises(UsageError, match="another process has begun a run here"):
        quick_train("a", steps=2)
    assert read_record(tmp_path / "a")["results"]["steps"] == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lr": 0.5}, "lr 0.5: this run has 0.0"),
        ({"steps": 11}, "steps 11: this run has 10: .* base='.*parts', another out="),
        ({"tokens": 128 * 11}, "steps 11: this run has 10: leave it out"),
        ({"size": "tiny"}, "this run has None"),
        ({"tokenizer": "bytes"}, "tokenizer bytes: this run has chars"),
    ],
)
def test_a_run_is_resumed_as_it_began(texts, unfinished, options, words):
    asked = TrainConfig(out=unfinished, **options)
    with pytest.raises(UsageError, match=words):
        train(asked, text=texts["clm"], resume=True)


def test_what_agrees_may_be_said_again(texts, unfinished):
    asked = TrainConfig(out=unfinished, tokens=128 * 10, n_layers=2, keep=1)
    record = train(asked, text=texts["clm"], resume=True, draw=False)
    assert record["status"] == "finished"
    assert record["options"]["keep"] == 1
    assert record["options"]["steps"] == 10


def test_a_text_that_has_changed_stops_a_resume(book, config, tmp_path):
    text = tmp_path / "text.txt"
    shutil.copy(book, text)
    options = config(out=str(tmp_path / "a"), data=str(text))
    with pytest.raises(Interrupted):
        train(options, reporter=Interrupting())
    text.write_text(text.read_text(encoding="utf-8") + "!", encoding="utf-8")
    with pytest.raises(DataError, match="another data"):
        train(options, resume=True)


def test_another_tokenizer_stops_a_resume(config, unfinished, tmp_path):
    other = config(tokenizer="bytes", out=str(tmp_path / "b"))
    train(other, draw=False)
    shutil.copy(tmp_path / "b" / "tokenizer.json", unfinished)
    with pytest.raises(DataError):
        train(config(out=unfinished), resume=True)


def test_a_record_from_before_a_setting_was_there_is_the_same_run(
    quick_train, tmp_path
):
    quick_train("a")
    file = tmp_path / "a" / "run.json"
    record = json.loads(file.read_text(encoding="utf-8"))
    for name in ("base", "whole_words"):
        del record["options"][name]
    file.write_text(json.dumps(record), encoding="utf-8")
    reporter = Listening()
    quick_train("a", reporter=reporter)
    assert "finished already" in reporter.notes[0]


def test_a_start_that_cannot_be_claims_no_folder(quick_train, tmp_path):
    quick_train("a")
    with pytest.raises(UsageError, match="was trained with warmup"):
        quick_train("b", start=str(tmp_path / "a"), steps=20)
    assert quick_train("b")["status"] == "finished"


def test_a_run_without_a_checkpoint_goes_on_with_its_own_text_only(
    unfinished, tmp_path, config
):
    shutil.rmtree(Path(unfinished) / "checkpoints")
    other = tmp_path / "other.txt"
    other.write_text("the sea 大海 a lamp 灯塔\n" * 500, encoding="utf-8")
    with pytest.raises(DataError, match="parts: was trained with another data"):
        train(config(out=unfinished, data=str(other)), resume=True, draw=False)


def test_a_resume_is_judged_together_with_what_the_run_is(
    quick_train, tmp_path, config
):
    with pytest.raises(Interrupted):
        quick_train("m", objective="mlm", arch="bert", reporter=Interrupting())
    asked = TrainConfig(arch="bert", out=str(tmp_path / "m"))
    assert train(asked, resume=True, draw=False)["status"] == "finished"


def test_a_run_goes_on_with_the_bodies_it_was_begun_with(
    quick_train, unfinished, tmp_path
):
    with plain(), pytest.raises(UsageError, match=r"without MINILLM_PLAIN=1.*unset it"):
        quick_train("parts", resume=True)
    assert quick_train("parts", resume=True)["plain"] is False
    with plain():
        quick_train("trunk", branch=True, warmup=1)
    longer = {"steps": 40, "warmup": 1, "start": str(tmp_path / "trunk")}
    with pytest.raises(UsageError, match=r"trunk: was begun with MINILLM_PLAIN=1.*set"):
        quick_train("longer", **longer)
    assert not (tmp_path / "longer").exists()
    with plain():
        assert quick_train("longer", **longer)["plain"] is True
