"""What the tests of generation share: a model of strong opinions, and short runs."""

import numpy as np
import pytest

from minillm.learning.data import EncodedCorpus
from minillm.models import ModelConfig, build
from minillm.runs.run import Run, load_run
from minillm.runs.train import train
from minillm.text import SEQ2SEQ_SPECIALS, SEQ2SEQ_TEMPLATE, train_tokenizer

CONTEXT = 12
SHAPE = {"vocab_size": 30, "n_layers": 2, "d_model": 16, "n_heads": 2}
PICO = {"size": "pico", "device": "cpu", "workers": "1"}


@pytest.fixture(scope="session")
def model():
    """An untrained model of strong opinions."""
    config = ModelConfig(**SHAPE, context=CONTEXT, init="fan_in", tied=False)
    model = build(config, np.random.default_rng(0))
    for table in (model.tokens.weight, model.positions):
        table.data *= 10
    return model


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict:
    """Folders of short runs, by objective."""
    folder = tmp_path_factory.mktemp("runs")
    options = {**PICO, "context": 32, "width": 32, "batch": 16, "lr": 0.02}
    for objective, steps in (("clm", 250), ("mlm", 2), ("mlm+nsp", 2)):
        train(
            **options,
            data="bilingual",
            objective=objective,
            steps=steps,
            out=str(folder / objective),
            draw=False,
        )
    tokenizer = train_tokenizer("chars", "ab")
    labelled = [(tokenizer.encode(text), number) for number, text in enumerate("ab")]
    corpus = rows(tokenizer, labelled, labelled, labels=("first", "second"))
    out = folder / "classify"
    train(
        **options, objective="classify", text=corpus, steps=1, out=str(out), draw=False
    )
    return {each: folder / each for each in ("clm", "mlm", "mlm+nsp", "classify")}


LETTERS = "abcdef灯海"


def strings(n: int, seed: int) -> list[str]:
    """Random strings of one to six letters."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 7, n)
    return ["".join(rng.choice(list(LETTERS), length)) for length in lengths]


@pytest.fixture(scope="session")
def unseen() -> list[str]:
    """Strings that the reverser has not learned from."""
    return sorted(set(strings(600, seed=1)) - set(strings(10_000, seed=0)))


@pytest.fixture(scope="session")
def reverser(tmp_path_factory, unseen) -> Run:
    """An encoder–decoder that has learned to write strings from behind."""
    tokenizer = train_tokenizer(
        "chars", LETTERS, specials=SEQ2SEQ_SPECIALS, template=SEQ2SEQ_TEMPLATE
    )
    pairs = [
        [(tokenizer.encode(text), tokenizer.encode(text[::-1])) for text in texts]
        for texts in (strings(10_000, seed=0), unseen)
    ]
    options = {**PICO, "width": 32, "heads": 2, "context": 8, "batch": 32, "lr": 0.005}
    out = tmp_path_factory.mktemp("reverser") / "run"
    train(
        **options,
        objective="seq2seq",
        weight_decay=0.0,
        text=rows(tokenizer, *pairs),
        steps=250,
        out=str(out),
        draw=False,
    )
    return load_run(out)


def rows(tokenizer, learned: list, held_out: list, labels=()) -> EncodedCorpus:
    """A corpus of rows."""
    facts = {"name": "rows", "sha256": "", "n_bytes": 0, "note": "", "val_bytes": 0}
    return EncodedCorpus(
        **facts, tokenizer=tokenizer, train=learned, val=held_out, labels=labels
    )
