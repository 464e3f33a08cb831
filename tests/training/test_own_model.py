"""A model of one's own in the place of ours: trained, resumed, recorded, refused."""

import inspect
import itertools
import json
import os
import signal
import threading

import numpy as np
import pytest

from minillm import Tensor, embed, ops
from minillm.errors import DataError, DeviceError, Interrupted, UsageError
from minillm.inspect.attention import attention_maps
from minillm.learning.config import TrainConfig
from minillm.learning.learner import Learner
from minillm.models import GPT, count
from minillm.nn import Embedding, Linear, Module, drop
from minillm.ops import cross_entropy
from minillm.runs.evaluation import evaluate_run
from minillm.runs.logbook import Silent
from minillm.runs.run import load_run
from minillm.runs.train import train
from minillm.tensor import op
from minillm.text import Batch

QUICK = {
    "context": 16,
    "batch": 8,
    "steps": 10,
    "tokenizer": "chars",
    "device": "cpu",
    "workers": "1",
}


class MLP(Module):
    """Sees a character and the one before it."""

    def __init__(self, vocab: int, width: int = 32):
        self.table = Embedding(vocab, 16, init=1)
        self.up, self.out = Linear(32, width, init=2), Linear(width, vocab, init=3)

    def __call__(self, ids) -> Tensor:  # (B, T) -> (B, T, V)
        before = np.pad(ids, ((0, 0), (1, 0)))[:, : ids.shape[1]]
        x = ops.concatenate([self.table(before), self.table(ids)], axis=-1)
        return self.out(ops.relu(self.up(x)))


class WithLogits(MLP):
    def logits(self, ids) -> Tensor:
        return MLP.__call__(self, ids)

    __call__ = None


class MeanLoss(MLP):
    """With a loss as one writes it: the mean over the targets that it is given."""

    def loss(self, batch) -> Tensor:
        return cross_entropy(self(batch.ids), targets=batch.targets)


class SumLoss(MLP):
    """With a loss as ours: a sum, divided by the batch's count."""

    def loss(self, batch, noise=None) -> Tensor:
        x = drop(self(batch.ids), noise)
        return cross_entropy(x, targets=batch.targets, n_targets=batch.n_targets)


class LossAndLogits(MeanLoss):
    def logits(self, ids) -> Tensor:
        return self(ids)


@pytest.fixture
def vocab(texts) -> int:
    return texts["clm"].tokenizer.vocab_size


@pytest.fixture
def own_train(book, texts, tmp_path):
    """A function that trains a model in a folder of this name; its record."""

    def run(model, name: str = "a", *, given=None, **options) -> dict:
        how = {
            key: options.pop(key)
            for key in ("reporter", "resume", "overwrite")
            if key in options
        }
        text = texts[options.get("objective", "clm")]
        settings = {"data": book, **QUICK, "out": str(tmp_path / name), **options}
        config = given or TrainConfig(**settings)
        return train(config, model=model, text=text, draw=False, **how)

    return run


def losses(folder) -> list[float]:
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return [json.loads(line)["loss"] for line in lines]


def test_an_mlp_learns_a_text(own_train, vocab, texts):
    record = own_train(MLP(vocab), steps=300)
    # What letters at random, in the shares they have, would give.
    shares = np.bincount(texts["clm"].train) / len(texts["clm"].train)
    shares = shares[shares > 0]
    unigram = -(shares * np.log(shares)).sum()
    assert record["results"]["val_loss"] < 0.6 * unigram
    assert record["results"]["val_accuracy"] > 0.5
    assert record["results"]["val_bits_per_byte"] > 0


@pytest.mark.filterwarnings("ignore:.*evaluated by its loss")
def test_every_way_to_give_a_model_has_the_same_losses(own_train, vocab, tmp_path):
    for kind in (MLP, WithLogits, MeanLoss, SumLoss, LossAndLogits):
        own_train(kind(vocab), kind.__name__)
    expected = losses(tmp_path / "MLP")
    for kind in (WithLogits, MeanLoss, SumLoss, LossAndLogits):
        assert losses(tmp_path / kind.__name__) == expected


@pytest.mark.parametrize("workers", ["2", "threads:2"])
@pytest.mark.parametrize("kind", [MLP, MeanLoss, SumLoss])
@pytest.mark.filterwarnings("ignore:.*evaluated by its loss")
def test_workers_and_microbatches_do_not_change_the_loss(
    own_train, vocab, tmp_path, kind, workers
):
    one = own_train(kind(vocab), "one")
    two = own_train(kind(vocab), "two", workers=workers)
    parts = own_train(kind(vocab), "parts", accumulate=4)
    for name in ("two", "parts"):
        np.testing.assert_allclose(
            losses(tmp_path / name), losses(tmp_path / "one"), rtol=1e-5
        )
    for record in (two, parts):
        assert record["results"]["val_loss"] == pytest.approx(
            one["results"]["val_loss"], rel=1e-5
        )
    assert two["workers"]["n"] == 2


def test_shards_of_unequal_counts_add_up(vocab):
    """A masked model has more targets in some rows than in others."""
    from minillm.learning.own_model import loss_of

    ids = np.random.default_rng(0).integers(0, vocab, (4, 6)).astype(np.int32)
    targets = np.full_like(ids, -1)
    targets[0, :5] = ids[0, :5]
    targets[2, 1] = ids[2, 1]
    whole = Batch(ids, targets)
    for kind in (MLP, MeanLoss, SumLoss):
        model = kind(vocab)
        parts = [loss_of(model, whole.shard(i, 3)).item() for i in range(3)]
        assert sum(parts) == pytest.approx(loss_of(model, whole).item(), rel=1e-5)


def test_the_trained_weights_are_in_the_model_and_in_the_folder(
    own_train, vocab, tmp_path
):
    model = MLP(vocab)
    before = model.out.weight.numpy().copy()
    own_train(model, workers="2")
    assert not np.array_equal(model.out.weight.numpy(), before)
    run = load_run(tmp_path / "a", model=MLP(vocab))
    for one, other in zip(model.parameters(), run.model.parameters(), strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
    assert evaluate_run(run)["val_loss"] > 0


def test_a_finished_run_gives_its_weights_to_the_model(own_train, vocab):
    first, second = MLP(vocab), MLP(vocab)
    record = own_train(first)
    with pytest.warns(UserWarning, match="nothing trained.*its weights are in the"):
        assert own_train(second)["results"] == record["results"]
    np.testing.assert_array_equal(first.up.weight.numpy(), second.up.weight.numpy())
    assert own_train(MLP(vocab), overwrite=True)["results"]["steps"] == 10


class StopAt(Silent):
    """Sends a signal to the process after a step, as Ctrl-C would."""

    def __init__(self, step: int):
        self.at = step

    def step(self, line: dict) -> None:
        if line["step"] == self.at:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_an_interrupted_run_goes_on_to_the_last_digit(
    own_train, vocab, tmp_path, workers
):
    whole, half = MLP(vocab), MLP(vocab)
    record = own_train(whole, "whole", workers=workers)
    with pytest.raises(Interrupted, match=r"train\(model=…, resume=True, out="):
        own_train(half, "half", workers=workers, reporter=StopAt(4))
    fresh = MLP(vocab)
    for p in fresh.parameters():  # what it holds has no say
        p.data = p.data + 1
    resumed = own_train(fresh, "half", workers=workers, resume=True)
    assert losses(tmp_path / "half") == losses(tmp_path / "whole")
    for name in ("val_loss", "train_loss"):
        assert resumed["results"][name] == record["results"][name]
    np.testing.assert_array_equal(fresh.out.weight.numpy(), whole.out.weight.numpy())


def test_only_the_folder_and_the_model_are_needed_to_resume(
    own_train, vocab, tmp_path, texts
):
    with pytest.raises(Interrupted):
        own_train(MLP(vocab), reporter=StopAt(4))
    out = str(tmp_path / "a")
    record = train(out=out, model=MLP(vocab), resume="auto", draw=False)
    assert record["status"] == "finished"
    assert record["options"]["lr"] == 0.003


@pytest.mark.parametrize(
    ("other", "words"),
    [
        (lambda v: MLP(v, width=8), r"out.weight of MLP has shape \[32, \d+\] there"),
        (WithLogits, "is of a model MLP, got WithLogits"),
        (lambda v: None, "is of a model of your own, MLP, whose code no file holds"),
        (lambda v: "MLP", "model must be a minillm.nn.Module, got str"),
    ],
)
def test_another_model_is_refused(own_train, vocab, tmp_path, other, words):
    with pytest.raises(Interrupted):
        own_train(MLP(vocab), reporter=StopAt(4))
    with pytest.raises(UsageError, match=words):
        own_train(other(vocab), resume=True)
    with pytest.raises(UsageError, match=words):
        load_run(tmp_path / "a", model=other(vocab))


def test_a_run_of_ours_takes_no_model(own_train, quick_train, vocab, tmp_path):
    quick_train("a")
    with pytest.raises(UsageError, match="of arch gpt, and of no model of your own"):
        own_train(MLP(vocab))
    with pytest.raises(UsageError, match="of arch gpt, and of no model of your own"):
        load_run(tmp_path / "a", model=MLP(vocab))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"size": "nano"}, "size nano beside a model of your own"),
        ({"n_layers": 2}, "layers 2 beside a model of your own"),
        ({"d_model": 32}, "width 32 beside a model"),
        ({"tied": True}, "tied True beside a model"),
        ({"arch": "gpt"}, "arch gpt beside model="),
        ({"objective": "classify"}, "a model of your own learns clm or mlm"),
        ({"dropout": 0.1}, "dropout=0.1: MLP takes no `noise`"),
    ],
)
def test_what_a_model_of_ones_own_has_already_is_not_asked_for(
    own_train, texts, vocab, tmp_path, options, words
):
    texts = {**texts, "classify": texts["clm"]}
    config = TrainConfig(data="x", **QUICK, out=str(tmp_path / "a"), **options)
    with pytest.raises(UsageError, match=words):
        train(config, model=MLP(vocab), text=texts["clm"])
    assert not (tmp_path / "a").exists()


def test_what_resolve_filled_in_is_no_shape_that_somebody_asked_for(
    own_train, book, vocab, tmp_path
):
    settings = {"data": book, **QUICK, "out": str(tmp_path / "a")}
    given = TrainConfig(**settings).resolve()
    record = own_train(MLP(vocab), given=given)
    assert record["options"]["n_layers"] is None
    given = TrainConfig(**settings, size="tiny").resolve()
    with pytest.raises(UsageError, match="beside model="):
        own_train(MLP(vocab), given=given)


class Empty(Module):
    pass


class Flat(MLP):
    def __call__(self, ids):
        return super().__call__(ids).reshape(-1, self.out.weight.shape[1])


class Bare(MLP):
    def __call__(self, ids):
        return super().__call__(ids).data


class Apart(MLP):
    """Its loss has a number for each target, or depends on nothing."""

    def __init__(self, vocab, loss):
        super().__init__(vocab)
        self.made = loss

    def loss(self, batch):
        return Tensor(self.made)


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (lambda v: Empty(), "Empty has no parameter"),
        (lambda v: [1], "model must be a minillm.nn.Module, got list"),
        (lambda v: MLP(v + 3), r"MLP has logits of \d+ tokens, the tokenizer has"),
        (Flat, r"Flat makes \(16, \d+\) of ids of shape \(1, 16\): logits are"),
        (Bare, r"Bare makes a value of type ndarray of ids of shape \(1, 16\)"),
        (lambda v: Apart(v, [1.0, 2.0]), r"Apart.loss gives \(2,\): a loss is"),
        (lambda v: Apart(v, 1.0), "loss of Apart depends on none of its parameters"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*evaluated by its loss")
def test_what_cannot_learn_is_refused_before_there_is_a_folder(
    own_train, vocab, tmp_path, model, words
):
    with pytest.raises(UsageError, match=words):
        own_train(model(vocab))
    assert not (tmp_path / "a").exists()


def test_the_context_is_that_of_the_model(own_train, vocab):
    model = MLP(vocab)
    model.context = 8
    assert own_train(model, context=None)["config"]["context"] == 8
    with pytest.raises(UsageError, match="context=16 is longer than that of MLP, 8"):
        own_train(model, "b")


def test_the_record_counts_parameters_and_flops(own_train, vocab):
    record = own_train(MLP(vocab))
    products = 32 * 32 + 32 * vocab
    assert record["parameters"] == {
        "total": vocab * 16 + products + 32 + vocab,
        "embedding": vocab * 16,
        "non_embedding": products + 32 + vocab,
        "matrices_and_head": products,
    }
    assert record["flops"]["per_token"] == 3 * 2 * products
    assert record["flops"]["total"] == 6 * products * 10 * 8 * 16
    assert record["config"]["class"] == "MLP"
    assert record["config"]["arch"] == "own"
    assert record["results"]["decode_seconds_per_token"] is None


@pytest.mark.parametrize("arch", ["gpt", "lstm"])
def test_flops_are_those_of_our_models_counted_by_their_shape(
    config, vocab, own_train, arch
):
    from minillm.models import build

    shape = config(arch=arch).shape(vocab)
    model = build(shape, np.random.default_rng(0))
    record = own_train(model)
    assert record["flops"]["per_token"] == count.flops_per_token(shape)
    assert record["parameters"]["total"] == count.parameters(shape)["total"]


def test_attention_in_pieces_is_counted_as_whole(vocab):
    from minillm.models.own_count import counted_flops

    rng = np.random.default_rng(0)
    q, k, v = (Tensor(rng.normal(size=(2, 4, 8)), requires_grad=True) for _ in range(3))
    with counted_flops() as whole:
        ops.attention(q, k, v)
    with counted_flops() as pieces:
        ops.softmax(q @ k.transpose(0, 2, 1)) @ v
    assert whole.forward == pieces.forward == 2 * 2 * 2 * 4 * 4 * 8


def test_every_op_that_multiplies_matrices_is_counted_or_known_not_to_be():
    from minillm.models.own_count import PRODUCTS, UNCOUNTED

    for name in ops.__all__:
        rule = getattr(getattr(ops, name), "rule", None)
        text = inspect.getsource(rule).partition("def ")[2] if rule else ""
        if " @ " in text or "einsum(" in text or "matmul(" in text:
            assert name in {*PRODUCTS, *UNCOUNTED}, name
    assert {*PRODUCTS} <= {*ops.__all__}


@op
def doubled_of_my_own(x):
    return 2 * x, lambda g: 2 * g


class WithAnOp(MLP):
    def __call__(self, ids):
        return doubled_of_my_own(super().__call__(ids))


def test_flops_that_nobody_can_count_are_null_and_said_once(own_train, vocab):
    with pytest.warns(UserWarning, match="FLOPs of WithAnOp .* doubled_of_my_own") as w:
        record = own_train(WithAnOp(vocab))
    assert len(w) == 1
    assert record["flops"]["per_token"] is None
    assert record["flops"]["total"] is None


def test_memory_that_runs_out_is_one_line(own_train, vocab):
    class Greedy(MLP):
        def __call__(self, ids):
            if len(ids) > 1:
                np.empty(1 << 55)
            return super().__call__(ids)

    with pytest.raises(DeviceError, match=r"out of memory, .*: try a smaller batch="):
        own_train(Greedy(vocab))


@pytest.mark.parametrize(
    "task", [lambda run: embed(run, "a"), lambda run: attention_maps(run, "a")]
)
def test_a_run_of_ones_own_has_no_layers_to_look_into(own_train, vocab, tmp_path, task):
    own_train(MLP(vocab))
    run = load_run(tmp_path / "a", model=MLP(vocab))
    with pytest.raises(UsageError, match="is of a model of your own: it cannot"):
        task(run)


def test_a_model_with_a_loss_only_is_evaluated_by_it(own_train, vocab, tmp_path):
    with pytest.warns(UserWarning, match="MeanLoss is evaluated by its loss") as told:
        by_loss = own_train(MeanLoss(vocab), "loss", workers="2")["results"]
    assert len(told) == 1
    by_logits = own_train(MLP(vocab), "logits")["results"]
    assert by_loss["val_loss"] == pytest.approx(by_logits["val_loss"], rel=1e-5)
    for name in ("val_accuracy", "val_perplexity", "val_bits_per_byte"):
        assert by_loss[name] is None
    run = load_run(tmp_path / "loss", model=MeanLoss(vocab))
    assert evaluate_run(run)["val_accuracy"] is None


class Locked(MLP):
    """Holds what cannot be copied."""

    def __init__(self, vocab):
        super().__init__(vocab)
        self.lock = threading.Lock()


class Bound(MLP):
    """Holds a function that goes on with its own parameters in every copy."""

    def __init__(self, vocab):
        super().__init__(vocab)
        up = self.up
        self.layer = lambda x: up(x)

    def __call__(self, ids):
        before = np.pad(ids, ((0, 0), (1, 0)))[:, : ids.shape[1]]
        x = ops.concatenate([self.table(before), self.table(ids)], axis=-1)
        return self.out(ops.relu(self.layer(x)))


@pytest.mark.parametrize("kind", [Locked, Bound])
def test_a_model_that_cannot_be_copied_has_one_worker(
    own_train, vocab, tmp_path, kind, monkeypatch
):
    from minillm.learning import worker_pool

    monkeypatch.setattr(worker_pool, "available_cores", lambda: 2)
    with pytest.warns(UserWarning, match=f"{kind.__name__} cannot be copied") as told:
        record = own_train(kind(vocab), "auto", workers="auto")
    assert len(told) == 1
    assert record["workers"]["n"] == 1
    own_train(MLP(vocab), "mlp")
    assert losses(tmp_path / "auto") == losses(tmp_path / "mlp")
    with pytest.raises(UsageError, match=r"workers='2': .* cannot be copied"):
        own_train(kind(vocab), "two", workers="2")


def test_dropout_reaches_a_loss_that_takes_noise(own_train, vocab, tmp_path):
    with pytest.warns(UserWarning, match="evaluated by its loss"):
        own_train(SumLoss(vocab), "with", dropout=0.5)
    with pytest.warns(UserWarning, match="evaluated by its loss"):
        own_train(SumLoss(vocab), "without")
    assert losses(tmp_path / "with") != losses(tmp_path / "without")


def test_a_masked_model_of_ones_own_fills_gaps(own_train, texts, tmp_path):
    from minillm import fill

    vocab = texts["mlm"].tokenizer.vocab_size
    record = own_train(MLP(vocab), objective="mlm", steps=100)
    assert record["results"]["val_loss"] < 3.0
    run = load_run(tmp_path / "a", model=MLP(vocab))
    assert len(fill(run, "the s[MASK]a", top=3)[0]) == 3


def test_a_run_of_ones_own_is_a_base_for_another(own_train, vocab, tmp_path):
    first, second = MLP(vocab), MLP(vocab)
    own_train(first)
    base = str(tmp_path / "a")
    record = own_train(second, "b", base=base, lr=0.0, steps=2)
    assert record["options"]["base"] == base
    np.testing.assert_array_equal(first.up.weight.numpy(), second.up.weight.numpy())


def test_a_longer_run_branches_off_a_shorter_one(own_train, vocab, tmp_path):
    own_train(MLP(vocab), "short", branch=True)
    longer = {"steps": 20, "warmup": 1, "branch": True}
    own_train(MLP(vocab), "short", branch=True, warmup=1, overwrite=True)
    started = own_train(MLP(vocab), "long", start=str(tmp_path / "short"), **longer)
    apart = own_train(MLP(vocab), "apart", **longer)
    assert started["results"]["val_loss"] == apart["results"]["val_loss"]


def test_a_learner_of_its_own_loop_has_the_losses_of_train(
    own_train, book, texts, vocab, tmp_path
):
    own_train(MLP(vocab))
    config = TrainConfig(data=book, **QUICK)
    with Learner(config, texts["clm"], model=MLP(vocab)) as learner:
        found = [learner.step(number).loss for number in range(10)]
        assert learner.evaluate().tokens.n > 0
    assert found == losses(tmp_path / "a")


def test_settings_of_such_a_run_without_a_model_are_refused(texts, book):
    config = TrainConfig(data=book, **QUICK, arch="own")
    with pytest.raises(UsageError, match="is given as model="):
        Learner(config, texts["clm"])


def test_a_gpt_of_ones_own_class_keeps_its_cache(own_train, config, vocab, tmp_path):
    from minillm import generate

    class Wide(GPT):
        pass

    shape = config().shape(vocab)
    record = own_train(Wide(shape, np.random.default_rng(0)))
    assert record["config"]["class"] == "Wide"
    assert record["results"]["decode_seconds_per_token"] > 0
    run = load_run(tmp_path / "a", model=Wide(shape, np.random.default_rng(1)))
    quick = generate(run, "the sea", max_tokens=30)
    assert quick == generate(run, "the sea", max_tokens=30, cached=False)


@pytest.mark.parametrize(
    "command",
    [
        ("generate", "{run}", "the sea"),
        ("eval", "{run}"),
        ("train", "--resume", "--out", "{run}"),
        ("train", "--out", "{run}"),
        ("attention", "{run}", "the sea"),
        ("embed", "{run}", "the sea"),
    ],
    ids=" ".join,
)
def test_the_shell_says_that_only_python_has_the_model(
    own_train, vocab, tmp_path, minillm, command
):
    own_train(MLP(vocab))
    run = str(tmp_path / "a")
    code, _, err = minillm(*[word.format(run=run) for word in command])
    assert code == 2
    assert "is of a model of your own, MLP" in err
    assert "in Python" in err
    assert "model=" in err
    assert err.count("\n") == 1


def test_a_run_of_ones_own_stands_beside_others(
    own_train, quick_train, vocab, tmp_path, minillm
):
    own_train(MLP(vocab))
    quick_train("b")
    code, out, err = minillm("compare", str(tmp_path / "a"), str(tmp_path / "b"))
    assert (code, "MLP" in out) == (0, True), err
    code, *_ = minillm("report", str(tmp_path))
    assert code == 0


def test_a_record_that_lies_about_a_model_is_no_record(own_train, vocab, tmp_path):
    own_train(MLP(vocab))
    file = tmp_path / "a" / "run.json"
    good = json.loads(file.read_text("utf-8"))
    for place, value in itertools.product(
        [("model", "shapes"), ("model", "class"), ("config", "arch")],
        [3, None, {"up": -1}, "gpt"],
    ):
        bad = json.loads(json.dumps(good))
        bad[place[0]][place[1]] = value
        if place == ("model", "class") and value == "gpt":
            continue  # a class may have that name
        file.write_text(json.dumps(bad), "utf-8")
        with pytest.raises(DataError, match=r"run.json: not the record of a run"):
            load_run(tmp_path / "a", model=MLP(vocab))
