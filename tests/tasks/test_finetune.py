"""Fine-tuning: what was read before helps, and a run is a run."""

import json
import os
import signal
from pathlib import Path

import pytest

from minillm import classify, finetune, load_run, train
from minillm.errors import DataError, Interrupted, UsageError
from minillm.runs.evaluation import evaluate_run
from minillm.runs.logbook import Silent

QUICK = {"device": "cpu", "workers": "1"}


def right(run: str, rows) -> float:
    texts, labels = zip(*rows, strict=True)
    predictions = classify(run, texts)
    told = [each.label for each in predictions]
    return sum(a == b for a, b in zip(told, labels, strict=True)) / len(rows)


@pytest.mark.parametrize("arch", ["bert", "gpt"])
def test_what_it_has_read_tells_it_of_words_that_no_label_told(
    world, pretrained, tmp_path, arch
):
    result = finetune(
        pretrained(arch), world.labelled, epochs=10, out=tmp_path / "a", **QUICK
    )
    scratch = result["baselines"]["scratch"]
    majority = result["baselines"]["majority"]
    # Both learn the words of the rows; which topic other words are of, one alone knows.
    assert result["accuracy"] > majority["accuracy"]
    assert scratch["accuracy"] > majority["accuracy"]
    assert right(result["run"], world.further) > 0.9
    assert right(scratch["run"], world.further) < 0.8  # by chance: 0.33


@pytest.fixture(scope="module")
def base(world) -> str:
    """A run that has seen the plain texts for two steps."""
    out = world.folder / "base"
    shape = {"layers": 1, "width": 16, "context": 16, "batch": 8, "steps": 2}
    train(data=world.plain, out=out, vocab=300, **shape, **QUICK, draw=False)
    return str(out)


def figures(result: dict) -> dict:
    """What does not depend on where the runs lie."""
    scratch = {k: v for k, v in result["baselines"]["scratch"].items() if k != "run"}
    others = {k: v for k, v in result.items() if k not in ("run", "baselines")}
    return {**others, "majority": result["baselines"]["majority"], "scratch": scratch}


class InterruptedAt(Silent):
    """Presses Ctrl-C at a step of the n-th run it hears of."""

    def __init__(self, step: int, run: int):
        self.at, self.run, self.heard = step, run, 0

    def start(self, record):
        self.heard += 1

    def step(self, line):
        if (line["step"], self.heard) == (self.at, self.run):
            signal.raise_signal(signal.SIGINT)


def test_the_result_is_a_run_and_is_measured_as_such(world, base, tmp_path):
    result = finetune(load_run(base), world.labelled, out=tmp_path / "a", **QUICK)
    assert (
        json.loads((tmp_path / "a" / "finetune.json").read_text(encoding="utf-8"))
        == result
    )
    run = load_run(tmp_path / "a")
    assert run.labels == sorted(result["per_class"]) == result["confusion"]["labels"]
    measured = evaluate_run(run)
    assert result["accuracy"] == pytest.approx(measured["val_accuracy"])
    assert result["loss"] == pytest.approx(measured["val_loss"])
    steps = 16  # for 3 × 81 rows, 16 at a time
    assert result["steps"] == run.record["results"]["steps"] == steps
    assert result["data"]["train"] + result["data"]["held_out"] == 90
    n_told = sum(map(sum, result["confusion"]["counts"]))
    assert n_told == result["data"]["held_out"]


def test_the_majority_is_that_of_the_training_rows(world, base, tmp_path):
    result = finetune(base, world.labelled, epochs=1, out=tmp_path / "a", **QUICK)
    rows = [
        line.split("\t")
        for line in Path(world.labelled).read_text(encoding="utf-8").splitlines()
    ]
    majority = result["baselines"]["majority"]
    true = {label: figures["n"] for label, figures in result["per_class"].items()}
    train_counts = {
        label: sum(row[1] == label for row in rows) - n for label, n in true.items()
    }
    label = max(train_counts, key=train_counts.__getitem__)
    assert majority["label"] == label
    assert majority["accuracy"] == true[label] / result["data"]["held_out"]
    assert majority["per_class"][label]["recall"] == 1.0


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_again_gives_the_same_figures(world, base, tmp_path, seed):
    settings = {"epochs": 1, "seed": seed, **QUICK}
    first = finetune(base, world.labelled, out=tmp_path / "a", **settings)
    second = finetune(base, world.labelled, out=tmp_path / "b", **settings)
    assert figures(first) == figures(second)
    assert finetune(base, world.labelled, out=tmp_path / "a", **settings) == first


def test_a_rate_that_nobody_names_is_that_of_the_run(world, base, tmp_path):
    settings = {"epochs": 1, "baselines": False, "out": tmp_path / "a", **QUICK}
    lr = finetune(base, world.labelled, **settings)["lr"]
    assert lr == load_run(base).record["options"]["lr"]
    path = tmp_path / "a" / "run.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["options"]["lr"] = 2 * lr  # as if the rule had changed since
    path.write_text(json.dumps(record), encoding="utf-8")
    assert finetune(base, world.labelled, **settings)["lr"] == 2 * lr


def test_its_records_repeat_both_runs(world, base, tmp_path):
    result = finetune(base, world.labelled, epochs=1, out=tmp_path / "a", **QUICK)
    for run in (result, result["baselines"]["scratch"]):
        options = json.loads(Path(run["run"], "run.json").read_text(encoding="utf-8"))[
            "options"
        ]
        record = train(**{**options, "out": None}, draw=False)
        assert record["results"]["val_loss"] == run["loss"]


@pytest.mark.parametrize("run", [1, 2], ids=["the run", "the baseline"])
def test_an_interrupted_one_goes_on_when_started_again(world, base, tmp_path, run):
    settings = {"epochs": 2, "lr": 0.01, **QUICK}
    whole = finetune(base, world.labelled, out=tmp_path / "whole", **settings)
    out = tmp_path / "cut"
    with pytest.raises(Interrupted) as stop:
        finetune(
            base, world.labelled, out=out, reporter=InterruptedAt(4, run), **settings
        )
    assert stop.value.exit_code == 130
    told = str(stop.value)
    told_so = f"data={str(world.labelled)!r}, epochs=2, lr=0.01, out={str(out)!r})"
    assert told_so in told
    assert not (out / "finetune.json").exists()
    reporter = InterruptedAt(4, 0)
    again = finetune(base, world.labelled, out=out, reporter=reporter, **settings)
    assert reporter.heard == 3 - run
    assert figures(again) == figures(whole)


def test_without_baselines_one_run_is_trained(world, base, tmp_path):
    result = finetune(
        base, world.labelled, epochs=1, baselines=False, out=tmp_path / "a", **QUICK
    )
    assert result["baselines"] == {}
    assert not (tmp_path / "a" / "scratch").exists()


def test_a_folder_of_its_own_is_made_for_what_comes_of_it(
    world, base, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    settings = {"epochs": 1, "baselines": False, **QUICK}
    result = finetune(base, world.labelled, **settings)
    assert os.listdir("runs") == [Path(result["run"]).name]
    with pytest.raises(UsageError, match="workers"):
        finetune(base, world.labelled, **{**settings, "workers": "0"})
    assert os.listdir("runs") == [Path(result["run"]).name]


def test_rows_that_are_too_long_and_steps_that_are_few_are_told(world, base, tmp_path):
    class Listener(Silent):
        def __init__(self):
            self.notes = []

        def note(self, text):
            self.notes.append(text)

    heard = Listener()
    long = tmp_path / "long.tsv"
    rows = [f"{'word ' * (n % 2 * 50)}a{n}\t{n % 3}\n" for n in range(30)]
    long.write_text("".join(rows), encoding="utf-8")
    finetune(base, long, baselines=False, out=tmp_path / "a", reporter=heard, **QUICK)
    assert heard.notes[0].startswith("6 steps of 16 rows are few")
    assert heard.notes[1].startswith("15 of 30 rows are longer than the 16 tokens")
    again = {"baselines": False, "out": tmp_path / "b", "reporter": heard, **QUICK}
    finetune(base, long, batch=50, epochs=1, **again)
    assert heard.notes[2].startswith("a step of 50 rows takes each of the 27 more than")


def test_what_cannot_be_is_refused_before_anything_is_written(
    world, base, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    for error, words, change in (
        (UsageError, "unknown task 'guess': choose one of classify", {"task": "guess"}),
        (UsageError, "epochs must be .* at least 1, got 0", {"epochs": 0}),
        (UsageError, "epochs must be a whole number", {"epochs": 1.5}),
        (UsageError, "batch must be at least 1, got 0", {"batch": 0}),
        (UsageError, "lr must be", {"lr": -1.0}),
        (UsageError, "unknown device 'tpu'", {"device": "tpu"}),
        (DataError, "nowhere: there is no such run", {"run": "nowhere"}),
        (DataError, "no.tsv", {"data": "no.tsv"}),
    ):
        given = {"run": base, "data": world.labelled, **QUICK, **change}
        with pytest.raises(error, match=words):
            finetune(**given)
    assert not os.listdir(tmp_path)


def test_a_folder_that_holds_another_run_is_refused(world, base, tmp_path):
    out = tmp_path / "a"
    settings = {"epochs": 1, "baselines": False, "out": out, **QUICK}
    finetune(base, world.labelled, **settings)
    with pytest.raises(UsageError, match="already holds another run, with seed 0"):
        finetune(base, world.labelled, seed=1, **settings)
    with pytest.raises(UsageError, match="already holds another run"):
        finetune(base, world.labelled, **{**settings, "out": base})


def test_other_labels_than_a_fine_tuned_run_knows_are_refused(world, base, tmp_path):
    settings = {"epochs": 1, "baselines": False, **QUICK}
    finetune(base, world.labelled, out=tmp_path / "a", **settings)
    more = finetune(tmp_path / "a", world.labelled, out=tmp_path / "b", **settings)
    assert load_run(more["run"]).config.base == str(tmp_path / "a")
    other = tmp_path / "other.tsv"
    content = Path(world.labelled).read_text(encoding="utf-8").replace("coins", "cows")
    other.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match="its labels are animals, bread, cows, and"):
        finetune(tmp_path / "a", other, out=tmp_path / "c", **settings)
