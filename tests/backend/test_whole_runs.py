"""Training, evaluation, generation and checkpoints of each architecture, on a stand-in
that fails where a GPU would."""

import json
from dataclasses import astuple

import numpy as np
import pytest

import minillm
from minillm import backend
from minillm.errors import UsageError
from minillm.generation import Decoder
from minillm.learning.evaluate import score
from minillm.learning.flat import FlatParameters
from minillm.learning.optimizer import AdamW, squared_norm
from minillm.learning.sgd import SGD
from minillm.models import ModelConfig, build, usual
from minillm.nn import Embedding, Linear, Module, Noise
from minillm.ops import cross_entropy, relu
from minillm.runs import checkpoint
from minillm.runs.evaluation import evaluate_run
from minillm.text import Batch

ARCHITECTURES = pytest.mark.parametrize(
    "arch", ["gpt", "llama", "encoder", "lstm", "bert"]
)
VARIANTS = pytest.mark.parametrize(
    "settings",
    [{}, {"norm": "post", "positions": "sinusoidal", "bias": False, "tied": True}],
    ids=["default", "other"],
)
IDS = np.random.default_rng(0).integers(0, 11, (3, 6), dtype=np.int32)
MASK = np.arange(6) < np.array([[6], [4], [5]])


def make(arch, settings):
    config = ModelConfig(11, 2, 8, 2, 6, arch=arch, **usual(arch) | settings)
    return build(config, np.random.default_rng(0))


def batch():
    targets = np.where(MASK, np.roll(IDS, 1), -1).astype(np.int32)
    n_targets = int(MASK.sum())
    read = {"source": IDS[:, ::-1], "source_mask": MASK}
    return Batch(IDS, targets, n_targets, mask=MASK, **read)


def train_and_score(arch, settings, optimizer=AdamW):
    """Three steps: (losses, squared norms, what the last model scores, the weights)."""
    model = make(arch, settings)
    flat = FlatParameters(model)
    gradient = flat.zeros()
    flat.collect_gradients(model, gradient)
    optimizer = optimizer(flat, weight_decay=0.1)
    numbers = []
    for step in range(1, 4):
        gradient[...] = 0
        loss = model.loss(batch(), Noise(0.1, 0, step))
        loss.backward()
        numbers += [loss.item(), squared_norm(gradient).item()]
        optimizer.update(slice(0, flat.size), gradient, lr=0.01, step=step, scale=0.9)
    weights = {
        name: backend.to_numpy(view) for name, view in flat.views(flat.data).items()
    }
    return numbers, astuple(score(model, batch()).tokens), weights


@ARCHITECTURES
@VARIANTS
@pytest.mark.parametrize("optimizer", [AdamW, SGD])
def test_training_steps_and_evaluation_are_the_cpus(arch, settings, optimizer, strict):
    numbers, scores, weights = train_and_score(arch, settings, optimizer)
    with backend.use(strict):
        found = train_and_score(arch, settings, optimizer)
    np.testing.assert_allclose(found[0], numbers, rtol=1e-4)
    np.testing.assert_allclose(found[1], scores, rtol=1e-4)
    for name, x in found[2].items():
        keep = np.full(x.shape, True)
        if name.endswith("qkv.bias"):
            # The softmax cancels a key's bias: its gradient is rounding, and AdamW
            # makes whole steps of it.
            keep = np.arange(x.size) // (x.size // 3) != 1
        np.testing.assert_allclose(x[keep], weights[name][keep], atol=1e-4)


def loss_and_gradients(arch, settings, batch):
    model = make(arch, settings)
    loss = model.loss(batch, Noise(0.1, 0, 1))
    loss.backward()
    found = [p.grad for p in model.parameters() if p.grad is not None]
    return [loss.item(), *map(backend.to_numpy, found)]


@pytest.mark.parametrize(
    ("arch", "n_classes"),
    [("bert", 0), ("gpt", 3), ("llama", 3), ("encoder", 3), ("lstm", 3), ("bert", 3)],
)
def test_labels_are_the_cpus(arch, n_classes, strict):
    labels = np.array([0, 1, 1], np.int32)
    segments = (IDS > 5).astype(np.int32)
    of_pairs = Batch(IDS, None, 0, 0, MASK, segments, labels, 3)
    expected = loss_and_gradients(arch, {"n_classes": n_classes}, of_pairs)
    with backend.use(strict):
        found = loss_and_gradients(arch, {"n_classes": n_classes}, of_pairs)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@VARIANTS
def test_an_encoder_decoder_learns_and_writes_as_on_the_cpu(settings, strict):
    def learn_and_write():
        numbers = loss_and_gradients("encdec", settings, batch())
        decoder = Decoder(
            make("encdec", settings).conditioned(IDS, MASK), [[1, 2], [3], [4]]
        )
        for step in range(8):  # beyond its context of 6
            numbers.append(decoder.logits())
            decoder.append([step] * 3)
            decoder.select([2, 0, 0])
        return numbers

    expected = learn_and_write()
    with backend.use(strict):
        found = learn_and_write()
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


@VARIANTS
@pytest.mark.parametrize("arch", ["gpt", "llama", "lstm"])
def test_decoding_is_the_cpus(arch, settings, strict):
    def decode():
        model = make(arch, settings)
        cache = model.new_cache(3)
        first = model.decode(IDS[:, :3], cache)
        return [first, *(model.decode(IDS[:, t : t + 1], cache) for t in (3, 4, 5))]

    expected = decode()
    with backend.use(strict):
        found = decode()
    for a, b in zip(found, expected, strict=True):
        assert type(a) is np.ndarray
        np.testing.assert_allclose(a, b, atol=1e-5)


@ARCHITECTURES
def test_a_checkpoint_travels_between_backends(arch, strict, tmp_path):
    def pieces():
        flat = FlatParameters(make(arch, {}))
        return flat, AdamW(flat)

    with backend.use(strict):
        flat, optimizer = pieces()
        flat.data += 1
        optimizer.state["m"] += 2
        path = checkpoint.save(tmp_path, flat, optimizer, {"step": 7, "note": "x"})
    here, optimizer_here = pieces()
    state = checkpoint.load(path, here, optimizer_here)
    assert state == {"step": 7, "note": "x"}
    views = flat.views(flat.data)
    for name, view in here.views(here.data).items():
        np.testing.assert_array_equal(view, backend.to_numpy(views[name]))
    moments = optimizer_here.state["m"]
    assert all((view == 2).all() for view in here.views(moments).values())
    with backend.use(strict):
        checkpoint.load(path, *pieces())


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "text.txt"
    words = np.random.default_rng(0).choice(["ein", "zwei", "drei", "vier"], 3000)
    path.write_text(" ".join(words), encoding="utf-8")
    return path


OPTIONS = {
    "size": "pico",
    "context": 16,
    "batch": 4,
    "tokenizer": "chars",
    "dropout": 0.1,
    "accumulate": 2,
    "workers": "1",
    "seed": 3,
}


@pytest.mark.parametrize(
    ("objective", "arch"),
    [
        ("clm", "gpt"),
        ("clm", "llama"),
        pytest.param("clm", "lstm", marks=pytest.mark.slow),
        pytest.param("mlm", "encoder", marks=pytest.mark.slow),
    ],
)
def test_a_whole_run_is_the_cpus(objective, arch, strict, corpus, tmp_path):
    options = {**OPTIONS, "objective": objective, "data": str(corpus), "steps": 6}
    options["arch"] = arch
    records = {
        device: minillm.train(
            **options, device=device, out=tmp_path / device, draw=False
        )
        for device in ("cpu", "cuda")
    }
    here, there = records["cpu"]["results"], records["cuda"]["results"]
    assert records["cuda"]["device"] == "strict"
    for key in ("train_loss", "val_loss", "val_accuracy"):
        assert there[key] == pytest.approx(here[key], rel=1e-3), key
    lines = (tmp_path / "cuda" / "metrics.jsonl").read_text(encoding="utf-8")
    assert len([json.loads(line) for line in lines.splitlines()]) == 6


class OfOnesOwn(Module):
    def __init__(self, vocab):
        self.table, self.out = Embedding(vocab, 8, init=0), Linear(8, vocab, init=1)

    def __call__(self, ids):
        return self.out(relu(self.table(ids)))


class WithALoss(OfOnesOwn):
    def loss(self, batch):
        return cross_entropy(self(batch.ids), targets=batch.targets)


@pytest.mark.parametrize("kind", [OfOnesOwn, WithALoss])
@pytest.mark.filterwarnings("ignore:.*evaluated by its loss")
def test_a_model_of_ones_own_is_trained_where_it_lies(kind, strict, corpus, tmp_path):
    strict.name = "cuda:0"  # as a GPU's, which the settings name
    options = {**OPTIONS, "data": str(corpus), "steps": 6, "draw": False}
    del options["size"], options["dropout"]
    tokenizer = minillm.prepare(
        minillm.TrainConfig(data=str(corpus), tokenizer="chars")
    ).tokenizer
    here = kind(tokenizer.vocab_size)
    with backend.use(strict):
        there = kind(tokenizer.vocab_size)
    records = [
        minillm.train(**options, model=model, out=tmp_path / name)
        for name, model in (("here", here), ("there", there))
    ]
    assert [record["device"] for record in records] == ["cpu", "cuda:0"]
    for key in ("train_loss", "val_loss"):
        assert records[1]["results"][key] == pytest.approx(
            records[0]["results"][key], rel=1e-4
        )
    with pytest.raises(UsageError, match=r"device='cuda': .* lies on cpu: make it"):
        minillm.train(**options, model=here, out=tmp_path / "x", device="cuda")
    if kind is OfOnesOwn:
        how = {"tokenizer": tokenizer, "max_tokens": 9, "temperature": 0}
        found = minillm.generate(there, "zwei", **how)
        assert found == minillm.generate(here, "zwei", **how)


def test_a_run_is_resumed_evaluated_and_continued(strict, corpus, tmp_path):
    from minillm.runs import train as loop

    options = {**OPTIONS, "data": str(corpus), "steps": 6, "save_every": 3}
    whole = minillm.train(**options, device="cuda", out=tmp_path / "whole", draw=False)
    checkpoints = tmp_path / "whole" / "checkpoints"
    record = json.loads((tmp_path / "whole" / "run.json").read_text(encoding="utf-8"))
    record["status"] = "interrupted"
    (tmp_path / "whole" / "run.json").write_text(json.dumps(record), encoding="utf-8")
    (checkpoints / "step-000006" / "model.safetensors").unlink()  # the machine failed
    again = loop.train(
        out=str(tmp_path / "whole"), resume=True, device="cuda", draw=False
    )
    assert again["results"]["val_loss"] == whole["results"]["val_loss"]
    with backend.use(strict):
        run = minillm.load_run(tmp_path / "whole")
        figures = evaluate_run(run)
        text = minillm.generate(run, "ein ", max_tokens=20, seed=1)
    assert figures["val_loss"] == pytest.approx(whole["results"]["val_loss"], rel=1e-5)
    assert text == minillm.generate(tmp_path / "whole", "ein ", max_tokens=20, seed=1)
