"""The figures of an evaluation, against NumPy in float64."""

import json
import math
import os
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from minillm import train
from minillm.errors import DataError, UsageError
from minillm.learning import evaluate as room
from minillm.learning.encoded import all_batches, validation_batch
from minillm.learning.evaluate import (
    Score,
    Tally,
    added_up,
    evaluate,
    interim_every,
    score,
    summarise,
)
from minillm.learning.worker import Worker
from minillm.runs.evaluation import evaluate_run
from minillm.runs.run import load_run
from minillm.text import BERT_TEMPLATE, PAIR_SPECIALS, Batch, train_tokenizer


def assert_equal_scores(one: Score, other: Score) -> None:
    for a, b in ((one.tokens, other.tokens), (one.labels, other.labels)):
        np.testing.assert_allclose(astuple(a), astuple(b), rtol=1e-6)


def by_hand(model, batch: Batch) -> tuple[float, float]:
    """(nats per target, share of right guesses)."""
    logits = model(batch.ids).numpy().astype(float)
    nats, right = [], []
    for row, targets in zip(logits, batch.targets, strict=True):
        for z, target in zip(row, targets, strict=True):
            if target != -1:
                nats.append(np.log(np.exp(z).sum()) - z[target])
                right.append(z.argmax() == target)
    return float(np.mean(nats)), float(np.mean(right))


@pytest.mark.parametrize("chunk", [1, 1000, 1 << 20])
@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_loss_and_accuracy_are_those_of_a_loop(
    learner, train_steps, monkeypatch, objective, chunk
):
    monkeypatch.setattr(room, "CHUNK", chunk)
    learner = learner(objective=objective, lr=0.02)
    train_steps(learner)
    batch = learner.work.validation
    loss, accuracy = by_hand(learner.model, batch)
    found = summarise(evaluate(learner.model, batch, 8), objective, 1.0)
    assert found["val_loss"] == pytest.approx(loss, rel=1e-6)
    assert found["val_accuracy"] == pytest.approx(accuracy)
    assert found["val_perplexity"] == pytest.approx(math.exp(loss), rel=1e-5)
    assert 0 < accuracy < 1


def test_a_model_that_knows_nothing_has_the_vocabulary_as_its_perplexity(workplace):
    work = workplace()
    work.model.head.data[...] = 0
    found = summarise(evaluate(work.model, work.validation, 8), "clm", 1.0)
    assert found["val_perplexity"] == pytest.approx(work.tokenizer.vocab_size)


def test_bits_per_byte_by_hand():
    # 100 tokens at ln 8 nats, which is 3 bits each; a token stands for 2.5 bytes.
    found = summarise(Score(Tally(100 * math.log(8), 25, 100)), "clm", 2.5)
    assert found == pytest.approx(
        {
            "val_loss": math.log(8),
            "val_perplexity": 8.0,
            "val_bits_per_byte": 3 / 2.5,
            "val_accuracy": 0.25,
        }
    )


def test_bits_per_byte_are_for_models_that_predict_every_byte():
    sums = Score(Tally(1.0, 1, 1))
    assert summarise(sums, "mlm", 2.5)["val_bits_per_byte"] is None
    assert summarise(sums, "clm", None)["val_bits_per_byte"] is None


def test_the_loss_of_two_predictions_is_their_sum():
    found = summarise(Score(Tally(30.0, 5, 10), Tally(2.0, 3, 4)), "mlm+nsp", 2.5)
    assert found["val_loss"] == 3.0 + 0.5
    assert found["val_perplexity"] == pytest.approx(math.exp(3.0))
    assert found["val_accuracy"] == 0.5
    assert found["val_next_sentence_accuracy"] == 0.75


def test_a_classifier_is_measured_by_its_labels():
    found = summarise(Score(labels=Tally(2.0, 3, 4)), "classify", None)
    assert (found["val_loss"], found["val_accuracy"]) == (0.5, 0.75)
    assert found["val_perplexity"] is None


def test_nothing_to_predict_is_loss_zero_and_a_lost_model_a_finite_perplexity():
    assert summarise(Score(), "mlm", 1.0)["val_loss"] == 0
    lost = Score(Tally(1e9, 0, 1))
    assert math.isfinite(summarise(lost, "clm", 1.0)["val_perplexity"])


@pytest.mark.parametrize("every", [1, 3])
@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_workers_share_an_evaluation(workplace, objective, every):
    work = workplace("threads", 3, objective=objective)
    shares = [Worker(work, rank, 3).evaluate(every) for rank in range(3)]
    alone = Worker(workplace(objective=objective), 0, 1).evaluate(every)
    assert_equal_scores(sum(shares, Score()), alone)
    assert min(share.tokens.n for share in shares) > 0


@pytest.mark.parametrize("n", [1, 2, 3])
@pytest.mark.parametrize("every", [1, 2, 3, 8])
def test_one_look_at_all_parts_gives_both_evaluations_to_the_last_bit(
    workplace, n, every
):
    work = workplace("threads", n)
    workers = [Worker(work, rank, n) for rank in range(n)]
    for worker in workers:
        worker.at_a_time = 2  # many parts
    found = [worker.score_parts() for worker in workers]
    assert sum(map(len, found)) > 8
    for each in (every, 1):
        apart = sum((worker.evaluate(each) for worker in workers), Score())
        assert added_up(found, each) == apart


def test_parts_do_not_change_the_sums(workplace):
    work = workplace()
    whole = score(work.model, work.validation)
    for size in (1, 7, 10_000):
        assert_equal_scores(evaluate(work.model, work.validation, size), whole)


def test_every_run_restores_the_same_masked_tokens(texts, config):
    text = texts["mlm"]
    made = config(objective="mlm")
    batches = [
        validation_batch(text.val, made, text.tokenizer, limit)
        for limit in (10_000, 10_000, 320)
    ]
    np.testing.assert_array_equal(batches[0].targets, batches[1].targets)
    assert len(batches[2].ids) == 20


def test_evaluation_leaves_the_gradient_alone(workplace):
    work = workplace()
    replica = Worker(work, 0, 1)
    replica.compute(0)
    before = work.gradients[0].copy()
    replica.evaluate()
    np.testing.assert_array_equal(work.gradients[0], before)


@pytest.mark.parametrize("objective", ["clm", "mlm"])
def test_a_run_is_measured_as_it_was_at_its_end_and_beyond_the_last_window(
    quick_train, tmp_path, texts, config, objective
):
    results = quick_train("a", objective=objective)["results"]
    run, text = load_run(tmp_path / "a"), texts[objective]
    found = evaluate_run(run)
    assert found == evaluate_run(str(tmp_path / "a"))
    assert set(found["data"]) == {"name", "sha256"}
    whole, rest = all_batches(text.val, run.config, text.tokenizer)
    trained = validation_batch(text.val, run.config, text.tokenizer)
    np.testing.assert_array_equal(whole.ids, trained.ids)
    np.testing.assert_array_equal(whole.targets, trained.targets)
    whole, rest = (evaluate(run.model, each, 8).tokens for each in (whole, rest))
    assert whole.loss == pytest.approx(results["val_loss"], rel=1e-6)
    assert found["val_tokens"] == whole.n + rest.n
    assert found["val_loss"] == pytest.approx((whole + rest).loss, rel=1e-6)
    if objective == "clm":
        assert found["val_tokens"] == len(text.val) - 1
        bits = found["val_loss"] / math.log(2) / text.bytes_per_token
        assert found["val_bits_per_byte"] == pytest.approx(bits)


@pytest.mark.parametrize("length", [2, 9, 16, 17, 18, 32, 33, 40])
def test_every_token_of_a_text_is_looked_at_once(config, texts, length):
    """The first one is there to predict the second; a masked model is asked for any."""
    ids = np.arange(1, length + 1)
    causal = all_batches(ids, config(), texts["clm"].tokenizer)
    targets = [batch.targets.ravel() for batch in causal]
    np.testing.assert_array_equal(np.concatenate(targets), ids[1:])
    for batch in causal:
        np.testing.assert_array_equal(batch.ids + 1, batch.targets)
    for arch, template in (("encoder", None), ("bert", BERT_TEMPLATE)):
        tokenizer = train_tokenizer(
            "bytes", "", specials=PAIR_SPECIALS, template=template
        )
        made = config(objective="mlm", arch=arch)
        masked = all_batches(ids, made, tokenizer)
        assert max(batch.ids.shape[1] for batch in masked) <= made.context
        read = [np.where(b.targets < 0, b.ids, b.targets).ravel() for b in masked]
        read = np.concatenate(read)
        special = np.isin(read, list(tokenizer.specials.values()))
        np.testing.assert_array_equal(read[~special], ids)


def test_all_rows_are_looked_at_where_they_are_few_tokens(config):
    tokenizer = train_tokenizer(
        "bytes", "", specials=PAIR_SPECIALS, template=BERT_TEMPLATE
    )
    rows = [(tokenizer.encode("ab"), i % 2) for i in range(50)]
    made = config(objective="classify", arch="bert")
    (batch,) = all_batches(rows, made, tokenizer, limit=100)
    assert batch.n_labels == 50
    (batch,) = all_batches(rows, made, tokenizer, limit=99)
    assert batch.n_labels == math.ceil(99 / made.context)


def test_a_run_is_measured_on_another_text(quick_train, tmp_path):
    quick_train("a")
    other = tmp_path / "other.txt"
    other.write_text("the sea 大海 she read 她读\n" * 300, encoding="utf-8")
    run = load_run(tmp_path / "a")
    here, there = evaluate_run(run), evaluate_run(run, data=str(other))
    assert here["data"] != there["data"]
    assert here["val_loss"] != there["val_loss"]
    limited = evaluate_run(run, limit=16)
    assert limited["val_tokens"] == 16


def test_a_text_that_has_changed_is_not_that_of_the_run(quick_train, tmp_path, book):
    text = tmp_path / "text.txt"
    text.write_bytes(Path(book).read_bytes())  # the book is that of other tests too
    quick_train("a", data=str(text))
    run = load_run(tmp_path / "a")
    evaluate_run(run)
    text.write_text("secret " * 300, encoding="utf-8")
    with pytest.raises(DataError, match=r"is not the text that .* was trained on"):
        evaluate_run(run)
    assert evaluate_run(run, data=str(text))["val_tokens"]
    if hasattr(os, "mkfifo"):
        text.unlink()
        os.mkfifo(text)
        with pytest.raises(DataError, match="is a pipe, not a file"):
            evaluate_run(run)


def test_what_cannot_be_measured_is_said(quick_train, tmp_path):
    quick_train("a")
    run = load_run(tmp_path / "a")
    short = tmp_path / "short.txt"
    short.write_text("too short", encoding="utf-8")
    assert evaluate_run(run, data=str(short))["val_tokens"] == len("rt") - 1
    short.write_text("a", encoding="utf-8")
    with pytest.raises(DataError, match=r"short\.txt.*too short: 0 tokens"):
        evaluate_run(run, data=str(short))
    with pytest.raises(UsageError, match="limit"):
        evaluate_run(run, limit=0)


@pytest.mark.parametrize(
    ("tokens", "every"), [(100, 1), (60_000, 1), (100_000, 3), (262_144, 8), (10**7, 8)]
)
def test_a_small_validation_part_is_looked_at_whole_on_the_way(tokens, every):
    assert interim_every(Batch(np.zeros((1, tokens), np.int32))) == every


def test_the_best_is_the_best_of_like_measures(quick_train, tmp_path):
    """Whatever part an evaluation on the way looks at: the last step too."""
    record = quick_train("a", steps=12, eval_every=4)
    metrics = (tmp_path / "a" / "metrics.jsonl").read_text(encoding="utf-8")
    lines = [
        line for line in map(json.loads, metrics.splitlines()) if "val_loss" in line
    ]
    assert [line["step"] for line in lines] == [4, 8, 12]
    least = min(lines, key=lambda line: line["val_loss"])
    assert record["results"]["best"] == {k: least[k] for k in ("step", "val_loss")}
    # so small a part is looked at whole
    assert lines[-1]["val_loss"] == record["results"]["val_loss"]


def test_a_text_in_which_nothing_is_hidden_is_told(tmp_path, monkeypatch):
    """A loss of 0 would be the best there is."""
    monkeypatch.chdir(tmp_path)
    Path("few.txt").write_text("ab " * 40, encoding="utf-8")
    settings = {"tokenizer": "chars", "device": "cpu", "workers": 1, "steps": 1}
    shape = {"n_layers": 1, "d_model": 8, "n_heads": 1, "context": 4, "batch": 2}
    train(data="few.txt", objective="mlm", out="run", **settings, **shape)
    Path("one.txt").write_text("ab " * 3, encoding="utf-8")
    notes = []
    found = evaluate_run(load_run("run"), data="one.txt", note=notes.append)
    assert (found["val_tokens"], found["val_loss"]) == (0, 0)
    assert notes == ["one.txt: no token was hidden: a loss of 0 says nothing here"]
    assert evaluate_run(load_run("run"), note=notes.append)["val_tokens"] > 0
    assert len(notes) == 1
