"""Nobody waits for a GPU in a training step: on the stand-in, every number that is read
from the device is counted."""

import json
import math

import numpy as np
import pytest

import minillm
from minillm import backend
from minillm.errors import DivergedError, UsageError
from minillm.learning.config import TrainConfig
from minillm.learning.data import prepare
from minillm.learning.learner import Learner
from minillm.learning.optimizer import AdamW, clip_scale
from minillm.learning.sgd import SGD
from minillm.learning.unread import checked_scale
from minillm.models import ModelConfig, build, usual
from minillm.runs import logbook

TEXT = "Der Mond ist aufgegangen. Die goldnen Sternlein prangen.\n\n" * 60
QUICK = {"n_layers": 2, "d_model": 8, "n_heads": 2, "context": 8, "batch": 4}
QUICK |= {"tokenizer": "chars", "steps": 12, "workers": "1"}


@pytest.fixture
def files(tmp_path):
    """Data for each objective, by its name."""
    (tmp_path / "text.txt").write_text(TEXT, encoding="utf-8")
    rows = [f"{word}\t{word[::-1]}" for word in TEXT.split()[:60]]
    (tmp_path / "pairs.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    rows = [f"{word}\t{'ab'[i % 2]}" for i, word in enumerate(TEXT.split()[:60])]
    (tmp_path / "labels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    text = tmp_path / "text.txt"
    of = {"seq2seq": tmp_path / "pairs.tsv", "classify": tmp_path / "labels.tsv"}
    return lambda objective: str(of.get(objective, text))


@pytest.fixture
def learner(files):
    """A function that makes a Learner of a small model on a device."""

    def make(device, objective="clm", **options):
        options = {**QUICK, "data": files(objective), **options}
        config = TrainConfig(**options, objective=objective, device=device).resolve()
        return Learner(config, prepare(config))

    return make


@pytest.fixture
def reads(stand_in):
    """A function that counts what another one reads from the device."""

    def count(function) -> int:
        stand_in.READS.clear()
        function()
        return len(stand_in.READS)

    return count


OBJECTIVES = pytest.mark.parametrize(
    ("objective", "arch"),
    [
        ("clm", "gpt"),
        ("clm", "llama"),
        ("clm", "lstm"),
        ("mlm", "encoder"),
        ("mlm+nsp", "bert"),
        ("seq2seq", "encdec"),
        ("classify", "gpt"),
    ],
)


@OBJECTIVES
def test_no_step_reads_from_the_device(learner, reads, strict, objective, arch):
    options = {"arch": arch, "dropout": 0.1, "accumulate": 2, "clip": 0.5}
    with learner("cuda", objective, **options) as learner:
        assert reads(lambda: [learner.step(i) for i in range(4)]) == 0
        assert reads(learner.wait) == 1


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_losses_and_norms_are_the_cpus(learner, reads, strict, optimizer):
    """Clipping too: half of the steps have a norm above the limit."""
    options = {"optimizer": optimizer, "clip": 1.5}
    with learner("cpu", **options) as here:
        expected = [here.step(i) for i in range(8)]
    with learner("cuda", **options) as there:
        found = [there.step(i) for i in range(8)]
        assert reads(lambda: found[2].loss) == 1
        assert reads(lambda: [step.norm for step in found]) == 0
    norms = [step.norm for step in expected]
    assert min(norms) < 1.5 < max(norms)
    np.testing.assert_allclose([s.norm for s in found], norms, rtol=1e-3)
    losses = [step.loss for step in expected]
    np.testing.assert_allclose([s.loss for s in found], losses, rtol=1e-4)


def test_an_evaluation_reads_once_for_each_part(learner, reads, strict):
    with learner("cuda") as learner:
        parts = math.ceil(len(learner.work.validation.ids) / QUICK["batch"])
        assert reads(learner.evaluate) == parts


@pytest.mark.parametrize("arch", ["gpt", "llama", "encdec"])
def test_a_token_is_one_read_and_one_mask(arch, reads, on_strict, monkeypatch):
    config = ModelConfig(11, 3, 8, 2, 9, arch=arch, **usual(arch))
    model = build(config, np.random.default_rng(0))
    if arch == "encdec":
        model = model.conditioned(np.ones((2, 5), int))
    cache = model.new_cache(2, np.array([1, 0]))
    model.decode(np.zeros((2, 3), int), cache)
    moved = []
    asarray = on_strict.xp.asarray
    monkeypatch.setattr(
        on_strict.xp, "asarray", lambda x, *_: moved.append(x) or asarray(x, *_)
    )
    assert reads(lambda: model.decode(np.zeros((2, 1), int), cache)) == 1
    masks = [x.shape for x in moved if np.asarray(x).dtype == np.bool_]
    assert masks == [(2, 9)]  # of all columns that there will be


# ------------------------------------------------------------- where it diverges


def diverging(learner, device, at: int):
    """Take steps of which one, from 0, has a gradient of NaN: (the learner's error, the
    weights and moments before that step and at the end)."""
    compute = learner._workers.first.compute
    states = []

    def spoiled(number):
        loss = compute(number)
        if number == at:
            learner.work.gradients[0][3:4] = math.nan
            states.append(state(learner))
        return loss

    learner._workers.first.compute = spoiled
    with pytest.raises(DivergedError) as caught:
        for number in range(at + 4):
            learner.step(number)
        learner.wait()
    assert np.isnan(backend.to_numpy(learner.work.gradients[0])[3])
    return caught.value, states[0], state(learner)


def state(learner) -> list:
    arrays = [learner.work.flat.data, *learner.work.optimizer.state.values()]
    return [np.array(backend.to_numpy(array)) for array in arrays]


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_nothing_moves_from_the_first_lost_gradient_on(learner, strict, optimizer):
    errors = {}
    for device in ("cpu", "cuda"):
        with learner(device, optimizer=optimizer, weight_decay=0.1) as learned:
            errors[device], before, after = diverging(learned, device, at=3)
            learned.next = 0
            learned._unread = None
        for a, b in zip(before, after, strict=True):
            np.testing.assert_array_equal(a, b)
    here, there = errors["cpu"], errors["cuda"]
    assert str(here) == str(there)
    assert (here.step, there.step) == (4, 4)


def test_a_lost_step_is_told_to_whoever_asks(learner, strict):
    with learner("cuda") as learner:
        first = learner.step(0)
        learner.work.flat.data[...] = math.nan
        lost, later = learner.step(1), learner.step(2)
        for ask in (lambda: later.loss, lambda: lost.norm, learner.evaluate):
            with pytest.raises(DivergedError, match="in step 2: loss nan"):
                ask()
        assert first.loss > 0
        assert learner.next == 1
        with pytest.raises(DivergedError, match="in step 2"):
            learner.__exit__(None, None, None)
    with pytest.raises(UsageError, match="closed by an error"):
        lost.loss  # noqa: B018


def test_more_steps_than_there_are_rows(learner, reads, strict, monkeypatch):
    monkeypatch.setattr("minillm.learning.unread.ROWS", 3)
    with learner("cuda") as learner:
        steps = []
        taken = reads(lambda: steps.extend(learner.step(i) for i in range(7)))
        assert taken == 2
        losses = [step.loss for step in steps]
    assert len(set(losses)) == 7


def test_a_learner_goes_on_from_what_it_loads(learner, strict, tmp_path):
    with learner("cuda") as learner:
        learner.step(0)
        learner.save(tmp_path / "one")
        expected = learner.step(1).loss
        learner.work.flat.data[...] = math.nan
        learner.step(2)
        learner.load(tmp_path / "one")
        assert learner.step(1).loss == pytest.approx(expected)


@pytest.mark.parametrize("clip", [0.0, 0.5, 2.0])
@pytest.mark.parametrize("norm", [0.0, 1e-25, 0.4, 1.0, 3.0, math.inf, math.nan])
def test_the_scale_is_the_cpus(on_strict, clip, norm):
    number = lambda x: on_strict.asarray(np.float32(x))  # noqa: E731
    figures = on_strict.xp.zeros(2, dtype=np.float32)
    for loss, before in ((1.0, 0.3), (math.nan, 1.0), (1.0, 0.0)):
        arguments = map(number, (loss, np.float32(norm) ** 2, before))
        scale = checked_scale(*arguments, figures, clip=clip)
        fine = math.isfinite(loss + norm) and before > 0
        expected = clip_scale(norm, clip) if fine else 0
        assert scale.item() == pytest.approx(expected, rel=1e-6)
        assert scale.dtype == np.float32


@pytest.mark.parametrize("optimizer", [AdamW, SGD])
def test_a_plain_scale_and_one_on_the_device_are_alike(on_strict, optimizer):
    found = []
    for scale in (0.5, on_strict.asarray(np.float32(0.5))):
        w = minillm.Tensor(np.ones((2, 3)), requires_grad=True)
        w.data = w.data.astype(np.float32)
        made = optimizer([w], weight_decay=0.1)
        g = on_strict.xp.ones(made.flat.size, dtype=np.float32)
        made.update(slice(0, made.flat.size), g, lr=0.1, step=1, scale=scale)
        found.append(w.numpy())
    np.testing.assert_allclose(*found, rtol=1e-6)
    assert (found[0] < 1).all()


# ---------------------------------------------------------------------- whole runs


def test_the_lines_of_a_run_are_the_cpus(files, strict, tmp_path, monkeypatch, reads):
    """Read now and then, all of them are there."""
    monkeypatch.setattr(logbook, "BETWEEN_READINGS", math.inf)
    options = {**QUICK, "data": files("clm"), "eval_every": 6, "save_every": 6}
    lines = {}

    def run(device, seed=0):
        out = tmp_path / f"{device}-{seed}"
        minillm.train(**options, device=device, out=out, seed=seed, draw=False)
        text = (out / "metrics.jsonl").read_text(encoding="utf-8")
        lines[device] = [json.loads(line) for line in text.splitlines()]

    run("cpu")
    once = reads(lambda: run("cuda"))
    assert len(lines["cuda"]) == 12
    for here, there in zip(lines["cpu"], lines["cuda"], strict=True):
        assert here.keys() == there.keys()
        assert there["loss"] == pytest.approx(here["loss"], rel=1e-4)
        assert (there["step"], there["lr"]) == (here["step"], here["lr"])
    seconds = [line["seconds"] for line in lines["cuda"]]
    assert sorted(set(seconds)) == seconds
    monkeypatch.setattr(logbook, "BETWEEN_READINGS", 0)
    assert reads(lambda: run("cuda", seed=1)) == once + 12 - 2


def test_a_run_that_diverges_names_its_step_as_on_the_cpu(
    files, strict, tmp_path, monkeypatch
):
    monkeypatch.setattr(logbook, "BETWEEN_READINGS", math.inf)
    update = AdamW.update

    def spoiling(self, part, grad, *, lr, step, scale):
        update(self, part, grad, lr=lr, step=step, scale=scale)
        if step == 7:
            self.flat.data[...] = math.nan

    monkeypatch.setattr(AdamW, "update", spoiling)
    told, lines = {}, {}
    for device in ("cpu", "cuda"):
        options = {**QUICK, "data": files("clm"), "eval_every": 12}
        with pytest.raises(DivergedError, match="in step 8: loss nan"):
            minillm.train(**options, device=device, out=tmp_path / device, draw=False)
        text = (tmp_path / device / "diverged.json").read_text(encoding="utf-8")
        told[device] = json.loads(text)
        lines[device] = (tmp_path / device / "metrics.jsonl").read_text("utf-8")
    assert told["cpu"] == told["cuda"]
    assert told["cuda"]["step"] == 8
    assert told["cuda"]["first_gradient"]
    assert len(lines["cuda"].splitlines()) == len(lines["cpu"].splitlines()) == 7


# ---------------------------------------------------------------------- on a GPU


@pytest.mark.gpu
@OBJECTIVES
def test_two_runs_on_a_gpu_are_equal_bit_for_bit(learner, objective, arch):
    def train():
        with learner("cuda", objective, arch=arch, dropout=0.1) as learned:
            losses = [step.loss for step in [learned.step(i) for i in range(5)]]
            return losses, state(learned)

    (losses, weights), (again, weights_again) = train(), train()
    assert losses == again
    for a, b in zip(weights, weights_again, strict=True):
        np.testing.assert_array_equal(a, b)
    with learner("cpu", objective, arch=arch, dropout=0.1) as here:
        expected = [here.step(i).loss for i in range(5)]
    np.testing.assert_allclose(losses, expected, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_on_a_gpu_nothing_moves_from_the_first_lost_gradient_on(learner, optimizer):
    with learner("cuda", optimizer=optimizer, weight_decay=0.1) as learned:
        error, before, after = diverging(learned, "cuda", at=3)
        learned._unread = None
    assert error.step == 4
    for a, b in zip(before, after, strict=True):
        np.testing.assert_array_equal(a, b)
