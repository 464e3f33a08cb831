"""A whole run: its record, its files, the same again, interrupted and resumed."""

import contextlib
import json
import math
import multiprocessing
import os
import pickle
import signal
import threading
import time
import xml.etree.ElementTree
from pathlib import Path

import numpy as np
import pytest

from minillm import figures
from minillm.backend import products
from minillm.errors import DataError, DivergedError, Interrupted, UsageError
from minillm.learning import learner
from minillm.learning.config import TrainConfig
from minillm.learning.evaluate import Score, Tally
from minillm.learning.worker import Worker
from minillm.runs import checkpoint, curve
from minillm.runs.run import read_record
from minillm.runs.train import Silent, train
from minillm.weights import read_arrays

# DESIGN's table: `run.json` has at least these.
KEYS = {
    "config": "arch objective size n_layers d_model n_heads vocab_size context",
    "data": "name sha256 bytes train_tokens val_tokens epochs tokenizer",
    "parameters": "total embedding non_embedding matrices_and_head",
    "flops": "per_token total six_nd",
    "results": "steps tokens train_loss val_loss val_perplexity val_bits_per_byte "
    "val_accuracy tokens_per_second seconds peak_memory_bytes decode_seconds_per_token",
    "workers": "kind n",
}
LINE = "step tokens loss lr grad_norm tokens_per_second seconds"
OF_TIME = ("tokens_per_second", "seconds", "peak_memory_bytes")


def lines_of(folder: Path) -> list[dict]:
    """metrics.jsonl, without what depends on the clock."""
    text = (folder / "metrics.jsonl").read_text(encoding="utf-8")
    lines = map(json.loads, text.splitlines())
    return [{k: v for k, v in line.items() if k not in OF_TIME} for line in lines]


def results_of(record: dict) -> dict:
    """The results, without what depends on the clock."""
    timed = (*OF_TIME, "decode_seconds_per_token")
    return {k: v for k, v in record["results"].items() if k not in timed}


def weights_of(folder: Path) -> bytes:
    newest = checkpoint.latest(folder / "checkpoints")
    return (newest / "model.safetensors").read_bytes()


class At(Silent):
    """Does something at a step, and remembers what it was told."""

    def __init__(self, step: int, action):
        self.at = step
        self.action = action
        self.told = []

    def step(self, line: dict) -> None:
        self.told.append(("step", line["step"]))
        if line["step"] == self.at:
            self.action()

    def evaluated(self, step: int, result: dict) -> None:
        self.told.append(("evaluated", step))

    def note(self, text: str) -> None:
        self.told.append(("note", text))

    def start(self, record: dict) -> None:
        self.told.append(("start", record["status"]))

    def finish(self, record: dict) -> None:
        self.told.append(("finish", record["status"]))

    def close(self) -> None:
        self.told.append(("close", None))


def at_no_time() -> At:
    return At(-1, None)


class Crash(Exception):
    """Not an error of minillm: what a killed process looks like from inside."""


def crash():
    raise Crash


def interrupt():
    signal.raise_signal(signal.SIGINT)


def test_the_record_has_the_keys_that_others_rely_on(quick_train, tmp_path):
    record = quick_train("a")
    for part, names in KEYS.items():
        assert set(names.split()) <= set(record[part]), part
    tokenizer = record["data"]["tokenizer"]
    assert set(tokenizer) == {"kind", "vocab_size", "sha256"}
    assert set(record["sources"]) == set(record["options"])
    assert record["seed"] == 0
    assert record["device"] == "cpu"
    assert record["workers"]["n"] == 1
    assert record["versions"]["numpy"] == np.__version__
    saved = (tmp_path / "a" / "run.json").read_text(encoding="utf-8")
    assert json.loads(saved) == record


def test_the_record_says_what_was_done(quick_train, texts, book):
    record = quick_train("a", tokenizer="bytes", steps=20)
    results, data = record["results"], record["data"]
    n_bytes = Path(book).stat().st_size
    assert data["bytes"] == n_bytes == data["train_tokens"] + data["val_tokens"]
    assert data["sha256"] == texts["clm"].sha256
    assert results["steps"] == 20
    assert results["tokens"] == 20 * 8 * 16
    assert data["epochs"] == results["tokens"] / data["train_tokens"]
    per_token = record["flops"]["per_token"]
    assert record["flops"]["total"] == per_token * results["tokens"]
    loss = results["val_loss"]
    assert loss < math.log(256)
    assert results["val_perplexity"] == pytest.approx(math.exp(loss))
    assert results["val_bits_per_byte"] == pytest.approx(loss / math.log(2))
    assert results["seconds"] > 0
    assert results["decode_seconds_per_token"] > 0
    assert results["peak_memory_bytes"] > 10_000_000


def test_a_masked_model_has_a_record_too(quick_train):
    record = quick_train("a", objective="mlm")
    assert record["config"]["arch"] == "encoder"
    assert record["results"]["val_bits_per_byte"] is None
    assert record["results"]["decode_seconds_per_token"] is None
    assert 0 <= record["results"]["val_accuracy"] <= 1


def test_metrics_have_a_line_for_each_step(quick_train, tmp_path):
    record = quick_train("a", steps=20, eval_every=8)
    text = (tmp_path / "a" / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["step"] for line in lines] == [*range(1, 21)]
    assert [line["tokens"] for line in lines] == [128 * i for i in range(1, 21)]
    evaluated = [line["step"] for line in lines if "val_loss" in line]
    assert evaluated == [8, 16, 20]
    for line in lines:
        assert [*line][:7] == LINE.split()
        assert all(math.isfinite(value) for value in line.values())
    # train_loss is the mean over the last twentieth
    assert record["results"]["train_loss"] == lines[-1]["loss"]


def test_a_long_run_writes_few_lines_with_mean_losses(
    quick_train, tmp_path, monkeypatch
):
    quick_train("each", steps=20)
    monkeypatch.setattr("minillm.runs.metrics.MOST_LINES", 6)
    quick_train("some", steps=20)
    each = [line["loss"] for line in lines_of(tmp_path / "each")]
    some = lines_of(tmp_path / "some")
    ends = [3, 5, 6, 9, 10, 12, 15, 18, 20]  # every third, evaluations, the last
    assert [line["step"] for line in some] == ends
    for begin, line in zip([0, *ends], some, strict=False):
        assert line["loss"] == pytest.approx(np.mean(each[begin : line["step"]]))


def test_a_reporter_hears_of_everything_in_order(quick_train):
    reporter = at_no_time()
    quick_train("a", steps=3, eval_every=2, reporter=reporter)
    assert reporter.told == [
        ("start", "running"),
        ("step", 1),
        ("evaluated", 2),
        ("step", 2),
        ("step", 3),
        ("evaluated", 3),
        ("close", None),
        ("finish", "finished"),
    ]


def broken_mkl() -> dict:
    return {"name": "NumPy", "version": "2", "problem": "MKL 1 cannot be used: why"}


def test_a_reporter_hears_once_of_what_is_missing(quick_train, monkeypatch):
    monkeypatch.setattr(products, "library", broken_mkl)
    # as where there is no fork
    monkeypatch.setattr(learner, "choose_workers", lambda *_: ("threads", 2))
    asked = {"auto": [], "2": [], "threads:2": [], "processes:2": ["processes:2"]}
    for i, (workers, named) in enumerate(asked.items()):
        reporter = at_no_time()
        quick_train(str(i), steps=2, workers=workers, reporter=reporter)
        notes = [what for kind, what in reporter.told if kind == "note"]
        wish = [
            f"workers={text!r}: this platform cannot fork, threads do the work"
            for text in named
        ]
        assert notes == [*wish, "MKL 1 cannot be used: why"]


@pytest.mark.parametrize("name", ["NumPy", "MKL"])
def test_the_record_names_mkl_where_it_multiplied(quick_train, name, monkeypatch):
    found = {"name": name, "version": "2026.1", "problem": None}
    monkeypatch.setattr(products, "library", lambda: found)
    record = quick_train("a", steps=1)
    assert record["versions"].get("mkl") == ("2026.1" if name == "MKL" else None)


def test_the_curve_is_a_picture(quick_train, tmp_path, monkeypatch):
    monkeypatch.setattr(curve, "save", figures.save)
    for name, steps in (("a", 10), ("书", 1)):
        quick_train(name, steps=steps, draw=True)
        svg = xml.etree.ElementTree.parse(tmp_path / name / "loss.svg").getroot()
        assert svg.tag == "{http://www.w3.org/2000/svg}svg"
        words = " ".join(svg.itertext())
        assert "validation" in words and "nats/token" in words and name in words


@pytest.mark.parametrize("options", [{}, {"objective": "mlm"}, {"workers": "2"}])
def test_the_same_seed_gives_the_same_run(quick_train, tmp_path, options):
    one, two = (quick_train(name, **options) for name in "ab")
    assert results_of(one) == results_of(two)
    assert lines_of(tmp_path / "a") == lines_of(tmp_path / "b")
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b")
    other = quick_train("c", seed=1, **options)
    assert results_of(other) != results_of(one)


RESUMED = [{}, {"arch": "lstm", "dropout": 0.1}, {"workers": "2"}]
RESUMED_TOO = [
    {"arch": "llama", "n_heads": 2, "n_kv_heads": 1, "qk_norm": True},
    {"objective": "mlm"},
    {"dropout": 0.1, "accumulate": 2},
    {"optimizer": "sgd", "lr": 0.1},
    # the best comes early
    {"lr": 5.0, "warmup": 25, "schedule": "constant", "clip": 1e9},
    {"workers": "threads:2"},
]


@pytest.mark.parametrize(
    "options",
    [
        *RESUMED,
        *(pytest.param(each, marks=pytest.mark.slow) for each in RESUMED_TOO),
    ],
    ids=str,
)
def test_interrupted_and_resumed_is_uninterrupted(quick_train, tmp_path, options):
    options = {"steps": 30, "eval_every": 4, "save_every": 7, **options}
    whole = quick_train("whole", **options)
    stops = np.sort(np.random.default_rng().choice(np.arange(1, 30), 2, replace=False))
    for i, (stop, number) in enumerate(
        zip(stops, (signal.SIGINT, signal.SIGTERM), strict=True)
    ):
        reporter = At(stop, lambda number=number: signal.raise_signal(number))
        with pytest.raises(
            Interrupted, match=f"after step {stop}, .*resume=True"
        ) as what:
            quick_train("parts", reporter=reporter, resume=i > 0, **options)
        assert what.value.exit_code == 128 + number
    parts = quick_train("parts", resume=True, **options)
    assert results_of(parts) == results_of(whole), stops
    assert lines_of(tmp_path / "parts") == lines_of(tmp_path / "whole"), stops
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole"), stops
    assert parts["results"]["seconds"] > 0


def test_an_interruption_keeps_its_code_on_its_way_between_processes():
    told = pickle.loads(pickle.dumps(Interrupted("after step 3", 143)))
    assert (str(told), told.exit_code) == ("after step 3", 143)


@pytest.mark.parametrize("workers", ["1", "threads:2", "2"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_sweep_that_goes_on_after_failures_ends_when_asked(
    quick_train, number, workers
):
    begun = []
    with pytest.raises(Interrupted) as stop:
        for i in range(3):
            begun.append(i)
            reporter = At(2, lambda: signal.raise_signal(number))
            with contextlib.suppress(Exception):
                quick_train(f"run{i}", reporter=reporter, workers=workers)
    assert begun == [0]
    assert stop.value.exit_code == 128 + number
    assert multiprocessing.active_children() == []


def test_the_last_mean_counts_losses_from_before_an_interruption(quick_train):
    options = {"steps": 60}  # the mean of the last three
    whole = quick_train("whole", **options)
    with pytest.raises(Interrupted):
        quick_train("parts", reporter=At(59, interrupt), **options)
    parts = quick_train("parts", resume=True, **options)
    assert parts["results"]["train_loss"] == whole["results"]["train_loss"]


@pytest.mark.parametrize(
    "stop", [7, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 12, 20))]
)
def test_crashed_and_resumed_is_uninterrupted(quick_train, tmp_path, stop, monkeypatch):
    monkeypatch.setattr("minillm.runs.metrics.MOST_LINES", 10)
    options = {"steps": 20, "eval_every": 4, "save_every": 7}
    whole = quick_train("whole", **options)
    lines = [line["step"] for line in lines_of(tmp_path / "whole")]
    stop = min(step for step in lines if step >= stop)
    with pytest.raises(Crash):
        quick_train("parts", reporter=At(stop, crash), **options)
    metrics = tmp_path / "parts" / "metrics.jsonl"
    with metrics.open("a", encoding="utf-8") as file:
        file.write('{"step": 9')  # cut off
    parts = quick_train("parts", resume=True, **options)
    assert results_of(parts) == results_of(whole)
    assert lines_of(tmp_path / "parts") == lines_of(tmp_path / "whole")
    assert weights_of(tmp_path / "parts") == weights_of(tmp_path / "whole")


def test_a_run_without_a_checkpoint_resumes_from_the_start(quick_train, tmp_path):
    whole = quick_train("whole")
    with pytest.raises(Crash):
        quick_train("parts", reporter=At(2, crash))
    reporter = at_no_time()
    parts = quick_train("parts", reporter=reporter, resume=True)
    assert "from the start" in reporter.told[0][1]
    assert results_of(parts) == results_of(whole)
    assert lines_of(tmp_path / "parts") == lines_of(tmp_path / "whole")


def test_a_damaged_checkpoint_costs_the_steps_since_the_one_before(
    quick_train, tmp_path
):
    options = {"steps": 20, "save_every": 5}
    whole = quick_train("whole", **options)
    with pytest.raises(Crash):
        quick_train("parts", reporter=At(13, crash), **options)
    newest = tmp_path / "parts" / "checkpoints" / "step-000010"
    (newest / "optimizer.safetensors").write_bytes(b"")
    parts = quick_train("parts", resume=True, **options)
    assert results_of(parts) == results_of(whole)
    assert lines_of(tmp_path / "parts") == lines_of(tmp_path / "whole")


def test_a_resumed_run_remembers_where_its_options_came_from(config, texts, tmp_path):
    made = config(out=str(tmp_path / "a"), steps=20)
    sources = dict.fromkeys(made.to_json(), "command line")
    with pytest.raises(Interrupted):
        train(
            made,
            text=texts["clm"],
            sources=sources,
            reporter=At(5, interrupt),
        )
    asked = TrainConfig(out=str(tmp_path / "a"), workers="threads:2")
    record = train(asked, text=texts["clm"], resume=True, draw=False)
    assert record["options"]["steps"] == 20
    assert record["workers"] == {"kind": "threads", "n": 2}
    assert record["sources"]["steps"] == "command line"
    assert record["sources"]["workers"] == "argument"


def test_seconds_add_up_over_sittings(quick_train, tmp_path):
    slow = At(1, lambda: time.sleep(0.3))
    slow.evaluated = lambda *_: interrupt()
    with pytest.raises(Interrupted):
        quick_train("a", reporter=slow, eval_every=2)
    record = quick_train("a", resume=True, eval_every=2)
    assert record["results"]["seconds"] > 0.3
    text = (tmp_path / "a" / "metrics.jsonl").read_text(encoding="utf-8")
    seconds = [json.loads(line)["seconds"] for line in text.splitlines()]
    assert len(seconds) == 10
    assert seconds == sorted(seconds)
    assert seconds[1] > 0.3


def test_evaluations_take_no_training_seconds(quick_train, monkeypatch):
    def slow(answer):
        return lambda *_: time.sleep(0.3) or answer

    score = Score(Tally(1.0, 1, 1))
    monkeypatch.setattr(Worker, "evaluate", slow(score))
    monkeypatch.setattr(Worker, "score_parts", slow([score]))  # at the end
    assert quick_train("a", eval_every=5)["results"]["seconds"] < 0.3


@pytest.fixture
def first_step(quick_train, tmp_path):
    """A function that does the first step of a run: how far each weight moves."""

    def move(lr: float, **options) -> dict:
        options = {"steps": 1, "warmup": 0, "weight_decay": 0.0, **options}
        weights = []
        for name, rate in (("still", 0.0), ("moved", lr)):
            quick_train(name, lr=rate, schedule="constant", **options)
            newest = checkpoint.latest(tmp_path / name / "checkpoints")
            weights.append(read_arrays(newest / "model.safetensors"))
        still, moved = weights
        return {name: moved[name] - still[name] for name in still}

    return move


def test_the_first_step_moves_every_weight_by_the_learning_rate(first_step):
    step = np.abs(first_step(0.01)["blocks.0.feed_forward.up.weight"])
    assert np.median(step) == pytest.approx(0.01, rel=1e-3)
    assert step.max() < 0.0101


def test_the_step_of_gradient_descent_is_as_long_as_clipping_allows(first_step):
    steps = first_step(0.1, optimizer="sgd", clip=0.2)
    length = math.sqrt(sum((step.astype(float) ** 2).sum() for step in steps.values()))
    assert length == pytest.approx(0.1 * 0.2, rel=1e-3)


def steps_kept(folder) -> set[int]:
    return {int(name[5:]) for name in os.listdir(folder / "checkpoints")}


def test_only_so_many_checkpoints_are_kept_and_the_best(quick_train, tmp_path):
    # A rate that grows until nothing is learned any more: the best comes early.
    options = {"steps": 30, "eval_every": 2, "save_every": 3, "keep": 2}
    quick_train("a", **options, lr=5.0, warmup=25, schedule="constant", clip=1e9)
    lines = (tmp_path / "a" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    by_loss = sorted(
        (line["val_loss"], line["step"])
        for line in map(json.loads, lines)
        if "val_loss" in line
    )
    val_loss, step = by_loss[0]
    assert step < 27
    assert steps_kept(tmp_path / "a") == {27, 30, step}
    best = read_record(tmp_path / "a")["results"]["best"]
    assert best == {"step": step, "val_loss": val_loss}


def test_where_the_last_is_the_best_no_other_is_kept(quick_train, tmp_path):
    quick_train("a", steps=40, eval_every=5, save_every=10, keep=1)
    assert steps_kept(tmp_path / "a") == {40}


@pytest.mark.parametrize("lr", [1e3, 1e20])
@pytest.mark.parametrize("workers", ["1", "2", "threads:2"])
def test_a_run_that_diverges_stops_and_keeps_its_checkpoint(
    quick_train, tmp_path, lr, workers
):
    options = {"lr": lr, "steps": 60, "save_every": 1, "warmup": 1, "clip": 0.0}
    with pytest.raises(DivergedError, match="smaller lr=") as caught:
        quick_train("a", workers=workers, **options)
    assert "\n" not in str(caught.value)
    record = json.loads((tmp_path / "a" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "diverged"
    assert record["results"] is None
    told = json.loads((tmp_path / "a" / "diverged.json").read_text(encoding="utf-8"))
    assert 1 <= told["step"] <= 60
    assert 0 < told["learning_rate"] <= lr
    assert np.shape(told["batch_ids"]) == (8, 16)
    assert not all(isinstance(value, float) for value in told["figures"].values())
    newest = checkpoint.latest(tmp_path / "a" / "checkpoints")
    if newest is None:
        assert "no checkpoint yet" in str(caught.value)
    else:
        assert newest.name in str(caught.value)
        for array in read_arrays(newest / "model.safetensors").values():
            assert np.isfinite(array).all()
    for line in lines_of(tmp_path / "a"):
        assert all(map(math.isfinite, line.values()))


def test_a_loss_that_is_no_number_writes_no_weights(quick_train, tmp_path, monkeypatch):
    def poison(self, part, grad, *, lr, step, scale):
        if step == 7:
            self.flat.data[...] = np.nan

    quick_train("whole", steps=5)
    monkeypatch.setattr("minillm.learning.optimizer.AdamW.update", poison)
    for save_every, last in ((5, "step-000005"), (7, None)):
        name = f"every-{save_every}"
        with pytest.raises(DivergedError):
            quick_train(name, steps=10, save_every=save_every, eval_every=10)
        text = (tmp_path / name / "diverged.json").read_text(encoding="utf-8")
        told = json.loads(text)
        assert told["first_weight"] == "tokens.weight"
        # Seen when the weights are to be written, or by the loss of the next step.
        assert told["step"] == (7 if save_every == 7 else 8)
        newest = checkpoint.latest(tmp_path / name / "checkpoints")
        assert (newest and newest.name) == last


def test_an_evaluation_that_is_no_number_names_its_step(
    quick_train, tmp_path, monkeypatch
):
    lost = Score(Tally(math.nan, 0, 1))
    monkeypatch.setattr(Worker, "evaluate", lambda *_: lost)
    with pytest.raises(DivergedError, match="in step 6: validation loss nan"):
        quick_train("a", steps=10, eval_every=6)
    text = (tmp_path / "a" / "diverged.json").read_text(encoding="utf-8")
    assert json.loads(text)["step"] == 6


def test_a_model_that_is_lost_at_its_last_step_is_not_called_finished(
    quick_train, tmp_path, monkeypatch
):
    monkeypatch.setattr(
        "minillm.runs.logbook.summarise", lambda *_: {"val_loss": math.nan}
    )
    with pytest.raises(DivergedError, match="validation loss nan"):
        quick_train("a", steps=2, eval_every=5)
    record = json.loads((tmp_path / "a" / "run.json").read_text(encoding="utf-8"))
    assert record["status"] == "diverged"


def test_a_full_disk_is_one_line_and_the_run_goes_on_later(
    quick_train, tmp_path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    options = {"steps": 20, "save_every": 5}
    whole = quick_train("whole", **options)
    with monkeypatch.context() as patch:
        action = lambda: patch.setattr(checkpoint, "write_arrays", full)  # noqa: E731
        with pytest.raises(DataError, match=r"step-000010: .*No space left") as caught:
            quick_train("parts", reporter=At(7, action), **options)
    assert "\n" not in str(caught.value)
    parts = quick_train("parts", resume=True, **options)
    assert results_of(parts) == results_of(whole)


def test_training_works_beside_the_main_thread(quick_train, tmp_path):
    thread = threading.Thread(target=quick_train, args=("a",))
    thread.start()
    thread.join()
    assert (tmp_path / "a" / "run.json").exists()


def test_signal_handlers_are_put_back(quick_train):
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.getsignal(number) for number in numbers]
    quick_train("a", steps=2)
    with pytest.raises(Interrupted):
        quick_train("b", reporter=At(1, interrupt), steps=5)
    assert [signal.getsignal(number) for number in numbers] == before


def test_a_second_signal_leaves_at_once(quick_train, tmp_path):
    def twice():
        interrupt()
        interrupt()

    with pytest.raises(KeyboardInterrupt):
        quick_train("a", reporter=At(5, twice), workers="2", eval_every=10)
    assert checkpoint.latest(tmp_path / "a" / "checkpoints") is None


def test_settings_come_as_a_config_or_by_name():
    with pytest.raises(UsageError, match="not both"):
        train(TrainConfig(), seed=1)
    with pytest.raises(UsageError, match="unknown setting 'sed'"):
        train(sed=1)
