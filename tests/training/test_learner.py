"""A Learner's own loop is the loop of `train`, and what is wrong is one clear line."""

import json
import multiprocessing
import subprocess
import sys

import numpy as np
import pytest

from minillm.errors import DataError, DivergedError, UsageError
from minillm.learning.learner import Learner
from minillm.runs.train import train
from minillm.weights import write_arrays

needs_fork = pytest.mark.skipif(sys.platform != "linux", reason="needs fork")


@pytest.mark.parametrize("workers", ["1", "2", "threads:2"])
@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_a_loop_of_ones_own_is_that_of_train(
    config, texts, tmp_path, objective, workers
):
    made = config(objective=objective, out=str(tmp_path / "a"), dropout=0.1)
    losses, norms = [], []
    with Learner(made, texts[objective], workers=workers) as learner:
        for number in range(made.steps):
            step = learner.step(number)
            losses.append(step.loss)
            norms.append(step.norm)
        score = learner.evaluate()
    made = config(
        objective=objective, out=str(tmp_path / "a"), dropout=0.1, workers=workers
    )
    record = train(made, text=texts[objective], draw=False)
    written = (tmp_path / "a" / "metrics.jsonl").read_text("utf-8").splitlines()
    lines = [json.loads(line) for line in written]
    assert losses == [line["loss"] for line in lines]
    assert norms == [line["grad_norm"] for line in lines]
    assert score.tokens.loss == record["results"]["val_loss"]


def test_a_folder_is_neither_looked_at_nor_made(config, texts, tmp_path):
    made = config(out=str(tmp_path / "a"), save_every=1, keep=1)
    with Learner(made, texts["clm"]) as learner:
        learner.step(0)
    assert not (tmp_path / "a").exists()


@needs_fork
def test_one_worker_forks_nothing(learner):
    with learner() as learner:
        learner.step(0)
        assert multiprocessing.active_children() == []
    assert learner.n_workers == 1


def test_steps_are_taken_in_order(learner):
    with learner() as learner:
        learner.step(0)
        for number in (0, 2):
            with pytest.raises(UsageError, match=f"step {number} .*step 1 comes next"):
                learner.step(number)
        learner.step(1)


def test_no_step_is_beyond_the_end(learner, tmp_path):
    with learner(steps=3) as learned:
        for number in range(3):
            learned.step(number)
        with pytest.raises(UsageError, match="step 3 is beyond the 3 steps"):
            learned.step(3)
        learned.save(tmp_path / "end")
    with pytest.raises(DataError, match="is of step 3, beyond the 2 of this"):
        learner(steps=2).load(tmp_path / "end")


@pytest.mark.parametrize("number", [0.0, "0", True, None])
def test_a_step_is_a_whole_number(learner, number):
    with learner() as learner, pytest.raises(UsageError, match="is a whole number"):
        learner.step(number)


def test_a_learner_takes_a_configuration_and_a_prepared_text(config, texts):
    for made, text in ((config(), "book.txt"), ({"steps": 3}, texts["clm"])):
        with pytest.raises(UsageError, match="a TrainConfig and what `prepare`"):
            Learner(made, text)


@pytest.mark.parametrize("workers", ["2", "threads:2"])
def test_what_breaks_a_call_off_leaves_no_answer_behind(learner, monkeypatch, workers):
    with learner(workers) as whole:
        expected = [whole.step(number).loss for number in range(3)]
    with learner(workers) as learner:
        assert learner.step(0).loss == expected[0]
        for method in ("compute", "evaluate"):
            with monkeypatch.context() as patch:
                first = learner._workers.first
                patch.setattr(first, method, lambda *_: pytest.fail("broken off"))
                with pytest.raises(pytest.fail.Exception):
                    learner.step(1) if method == "compute" else learner.evaluate()
        assert [learner.step(number).loss for number in (1, 2)] == expected[1:]


@needs_fork
def test_a_learner_that_nobody_closes_does_not_keep_its_process(tmp_path):
    (tmp_path / "book.txt").write_text("She read a book of the sea. " * 200, "utf-8")
    code = (
        "from minillm import Learner, TrainConfig, prepare\n"
        "c = TrainConfig(size='pico', data='book.txt', tokenizer='bytes', steps=3)\n"
        "learner = Learner(c, prepare(c), workers=2).__enter__()\n"
        "learner.step(0)\n"
    )
    argv = [sys.executable, "-c", code]
    done = subprocess.run(argv, cwd=tmp_path, timeout=60, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


def test_a_step_needs_an_open_learner(learner):
    learner = learner()
    with pytest.raises(UsageError, match="not open"):
        learner.step(0)
    with learner:
        learner.step(0)
        with pytest.raises(UsageError, match="open already"), learner:
            pass
        learner.step(1)
        learner.close()
        with pytest.raises(UsageError, match="not open"):
            learner.step(2)
    with pytest.raises(UsageError, match="not open"):
        learner.evaluate()


def test_no_weight_moves_where_the_gradient_is_lost(learner):
    with learner() as learner:
        learner.step(0)
        weights = learner.work.flat.data
        weights[0] = np.nan
        before = weights.copy()
        with pytest.raises(DivergedError, match="in step 2: loss nan") as caught:
            learner.step(1)
    np.testing.assert_array_equal(weights, before)
    assert caught.value.step == 2
    assert np.isnan(caught.value.figures["loss"])


@pytest.mark.parametrize("workers", ["1", "2"])
def test_saved_and_loaded_a_learner_goes_on_as_if_nothing_had_been(
    learner, tmp_path, workers
):
    with learner(workers) as whole:
        for number in range(3):
            whole.step(number)
        whole.save(tmp_path / "third")
        expected = [whole.step(number).loss for number in (3, 4)]
    with learner(workers) as again:
        again.load(tmp_path / "third")
        assert again.next == 3
        assert [again.step(number).loss for number in (3, 4)] == expected
    np.testing.assert_array_equal(again.work.flat.data, whole.work.flat.data)
    assert [path.name for path in tmp_path.iterdir()] == ["third"]


@pytest.mark.parametrize(
    ("write", "words"),
    [
        (lambda path: path.write_bytes(b"no"), "cannot be read"),
        (lambda path: None, "cannot be read"),
        (
            lambda path: write_arrays(path, {"a": np.zeros(2)}),
            "was not written by Learner.save",
        ),
        (
            lambda path: write_arrays(path, {"a": np.zeros(2)}, {"next": "3"}),
            "is in the model or in the file, but not in both",
        ),
    ],
)
def test_a_file_of_something_else_changes_nothing(learner, tmp_path, write, words):
    write(tmp_path / "file")
    learner = learner()
    before = learner.work.flat.data.copy()
    with pytest.raises(DataError, match=f"file: .*{words}"):
        learner.load(tmp_path / "file")
    np.testing.assert_array_equal(learner.work.flat.data, before)
    assert learner.next == 0


@needs_fork
def test_a_worker_has_no_workers_of_its_own(learner):
    def work(connection):
        try:
            with learner("processes:2"):
                connection.send("opened")
        except UsageError as error:
            connection.send(str(error))

    here, there = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(
        target=work, args=(there,), daemon=True
    )
    process.start()
    there.close()  # or nobody would hear that the process ended without a word
    assert "no workers of its own" in here.recv()
    process.join()
