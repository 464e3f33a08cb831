"""Runs that begin with the weights of another."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from minillm import load_run, train
from minillm.errors import DataError, UsageError
from minillm.learning.config import TrainConfig
from minillm.runs import checkpoint
from minillm.weights import read_arrays


@pytest.fixture
def labelled(tmp_path):
    rows = [
        f"{'sea' if i % 2 else 'lamp'} of {i}\t{'wet' if i % 2 else 'bright'}\n"
        for i in range(60)
    ]
    path = tmp_path / "labelled.tsv"
    path.write_text("".join(rows), encoding="utf-8")
    return str(path)


def weights(path) -> dict:
    newest = checkpoint.latest(path / "checkpoints")
    return read_arrays(newest / "model.safetensors")


def test_a_run_on_a_base_begins_with_its_weights(quick_train, tmp_path, book):
    base = quick_train("base", steps=30)
    out = tmp_path / "more"
    more = train(
        TrainConfig(
            base=tmp_path / "base",
            data=book,
            steps=1,
            batch=8,
            lr=1e-9,
            device="cpu",
            workers="1",
            out=out,
        ),
        draw=False,
    )
    assert more["model"] == base["model"]
    assert more["data"]["tokenizer"] == base["data"]["tokenizer"]
    for name, array in weights(tmp_path / "base").items():
        np.testing.assert_allclose(weights(out)[name], array, atol=1e-6)


@pytest.mark.parametrize(
    ("objective", "arch"),
    [
        ("clm", "gpt"),
        ("clm", "llama"),
        ("clm", "lstm"),
        ("mlm", "encoder"),
        ("mlm", "bert"),
    ],
)
def test_a_classifier_takes_the_body_of_its_base(
    quick_train, tmp_path, labelled, objective, arch
):
    quick_train("base", steps=2, objective=objective, arch=arch)
    out = tmp_path / "labels"
    record = train(
        objective="classify",
        base=tmp_path / "base",
        data=labelled,
        steps=1,
        batch=8,
        lr=1e-9,
        device="cpu",
        workers="1",
        out=out,
        draw=False,
    )
    assert record["config"]["arch"] == arch
    assert record["data"]["labels"] == ["bright", "wet"]
    base, mine = weights(tmp_path / "base"), weights(out)
    body = {name.removeprefix("body.") for name in mine if name.startswith("body.")}
    assert body <= set(base)
    for name in body:
        np.testing.assert_allclose(mine[f"body.{name}"], base[name], atol=1e-6)
    assert load_run(out).labels == ["bright", "wet"]


@pytest.mark.parametrize(
    "other", [{"width": 32}, {"arch": "lstm"}, {"tokenizer": "bytes"}, {"norm": "post"}]
)
def test_another_shape_than_the_base_s_is_refused(quick_train, tmp_path, other):
    quick_train("base", steps=1)
    ((name, value),) = other.items()
    with pytest.raises(UsageError, match=f"{name}={value!r}: the run .* has"):
        train(base=tmp_path / "base", **other)


def test_what_the_base_has_not_set_is_said_plainly(quick_train, tmp_path):
    quick_train("base", steps=1)
    with pytest.raises(UsageError, match=r"kv_heads=1: the run .* has none set, and"):
        train(base=tmp_path / "base", n_kv_heads=1)


def test_a_default_that_is_asked_for_is_no_default(quick_train, tmp_path):
    quick_train("base", steps=1)
    asked = TrainConfig(base=tmp_path / "base", tokenizer="bpe")
    with pytest.raises(UsageError, match=r"tokenizer='bpe': the run .* has chars"):
        train(asked, sources={"tokenizer": "command line"})


def test_a_base_that_is_no_run_is_named(tmp_path):
    with pytest.raises(DataError, match="there is no such run"):
        train(base=tmp_path / "nowhere")


def test_a_base_whose_checkpoint_is_damaged_is_named(quick_train, tmp_path, book):
    quick_train("base", steps=1)
    for path in (tmp_path / "base" / "checkpoints").glob("*/manifest.json"):
        path.unlink()
    with pytest.raises(DataError, match="step-000001: is damaged"):
        train(base=tmp_path / "base", data=book, out=tmp_path / "more")


def test_a_run_on_a_base_goes_on_without_it(quick_train, tmp_path, book):
    quick_train("base", steps=2)
    options = {
        "base": tmp_path / "base",
        "data": book,
        "steps": 4,
        "batch": 8,
        "device": "cpu",
        "workers": "1",
        "save_every": 2,
        "draw": False,
    }
    whole = train(out=tmp_path / "whole", **options)
    train(out=tmp_path / "cut", **options)
    for path in (tmp_path / "cut" / "checkpoints").glob("step-000004"):
        (path / "manifest.json").unlink()
    (tmp_path / "base").rename(tmp_path / "gone")
    record = (tmp_path / "cut" / "run.json").read_text(encoding="utf-8")
    (tmp_path / "cut" / "run.json").write_text(
        record.replace('"finished"', '"interrupted"'), encoding="utf-8"
    )
    again = train(out=tmp_path / "cut", resume=True, draw=False)
    assert again["results"]["val_loss"] == whole["results"]["val_loss"]


def test_a_run_on_a_base_that_lost_its_checkpoints_begins_there_again(
    quick_train, tmp_path, book
):
    quick_train("base", steps=20, lr=0.05)
    options = {"base": tmp_path / "base", "data": book, "steps": 2, "workers": "1"}
    options |= {"batch": 8, "device": "cpu", "draw": False}
    whole = train(out=tmp_path / "whole", **options)
    train(out=tmp_path / "lost", **options)
    shutil.rmtree(tmp_path / "lost" / "checkpoints")
    again = train(out=tmp_path / "lost", resume=True, draw=False)
    assert again["results"]["val_loss"] == whole["results"]["val_loss"]


def test_a_checkpoint_can_be_the_base(quick_train, tmp_path, book):
    quick_train("base", steps=20, save_every=10, keep=9)
    options = {"data": book, "steps": 1, "workers": "1", "batch": 8, "device": "cpu"}
    losses = {
        train(
            base=tmp_path / "base" / place, out=tmp_path / name, draw=False, **options
        )["results"]["val_loss"]
        for name, place in (
            ("run", ""),
            ("last", "checkpoints/step-000020"),
            ("early", "checkpoints/step-000010"),
        )
    }
    assert len(losses) == 2


def labels_run(data, **options) -> dict:
    return train(
        objective="classify",
        data=data,
        steps=1,
        batch=8,
        device="cpu",
        workers="1",
        draw=False,
        **options,
    )


def test_fresh_takes_the_shape_and_the_tokenizer_but_no_weights(
    quick_train, tmp_path, labelled
):
    quick_train("base", steps=2)
    options = {"base": tmp_path / "base", "fresh": True, "lr": 1e-9}
    record = labels_run(labelled, **options, out=tmp_path / "fresh")
    again = labels_run(labelled, **options, out=tmp_path / "again")
    base = load_run(tmp_path / "base")
    assert record["data"]["tokenizer"]["sha256"] == base.tokenizer.sha256
    mine, trained = weights(tmp_path / "fresh"), weights(tmp_path / "base")
    tokens = "tokens.weight"
    assert mine[f"body.{tokens}"].shape == trained[tokens].shape
    assert abs(mine[f"body.{tokens}"] - trained[tokens]).max() > 0.01
    assert again["results"]["val_loss"] == record["results"]["val_loss"]


def test_fresh_without_a_base_is_refused():
    with pytest.raises(UsageError, match=r"fresh= .* base="):
        TrainConfig(fresh=True).resolve()


def test_a_classifier_goes_on_with_the_labels_it_knows_and_no_others(
    quick_train, tmp_path, labelled
):
    quick_train("base", steps=1)
    labels_run(labelled, base=tmp_path / "base", out=tmp_path / "wet")
    labels_run(labelled, base=tmp_path / "wet", out=tmp_path / "wetter")
    content = Path(labelled).read_text(encoding="utf-8").replace("wet", "dry")
    other = tmp_path / "other.tsv"
    other.write_text(content, encoding="utf-8")
    with pytest.raises(DataError, match=r"other\.tsv: its labels are bright, dry, and"):
        labels_run(other, base=tmp_path / "wet", out=tmp_path / "dry")
    assert not (tmp_path / "dry").exists()


def test_a_finished_run_on_rows_is_known_again(quick_train, tmp_path, labelled):
    quick_train("base", steps=1)
    options = {"base": tmp_path / "base", "out": tmp_path / "wet"}
    record = labels_run(labelled, **options)
    with pytest.warns(UserWarning, match="finished already"):
        assert labels_run(labelled, **options) == record
    with open(labelled, "a", encoding="utf-8") as file:
        file.write("a new sea\twet\n")
    with pytest.raises(UsageError, match="has changed since"):
        labels_run(labelled, **options)
