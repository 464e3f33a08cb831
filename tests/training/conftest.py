"""A small text, quick runs on it, and their steps without the loop around them."""

import numpy as np
import pytest

from minillm.training.config import TrainConfig
from minillm.training.data import (
    EncodedCorpus,
    prepare,
    training_sampler,
    validation_batch,
)
from minillm.training.loop import train
from minillm.training.optimizer import clip_scale, global_norm
from minillm.training.replica import Replica, set_up
from minillm.training.schedule import learning_rate
from minillm.training.team import Team

QUICK = {
    "layers": 2,
    "width": 16,
    "heads": 2,
    "context": 16,
    "batch": 8,
    "steps": 10,
    "tokenizer": "chars",
    "device": "cpu",
    "workers": "1",
}


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> str:
    """The path of a text of 14 kB in English and Chinese."""
    rng = np.random.default_rng(0)
    sentence = "the sea 大海 a lamp 灯塔 she read 她读 of all 一座 books 书"
    words = sentence.split()
    lines = [" ".join(rng.choice(words, 9)) + ".\n" for _ in range(400)]
    path = tmp_path_factory.mktemp("text") / "书.txt"
    path.write_text("".join(lines), encoding="utf-8")
    return str(path)


@pytest.fixture
def config(book):
    """A function that makes the resolved configuration of a quick run."""

    def make(**options) -> TrainConfig:
        return TrainConfig(**{"data": book, **QUICK, **options}).resolve()

    return make


@pytest.fixture(scope="session")
def texts(book):
    """The text as ids, by objective."""
    return {
        objective: prepare(TrainConfig(data=book, **QUICK, objective=objective))
        for objective in ("clm", "mlm")
    }


@pytest.fixture
def quick_train(config, tmp_path, texts):
    """A function that does a quick run in a folder of this name; its record."""

    def run(name: str, *, reporter=None, resume=False, draw=False, **options) -> dict:
        made = config(out=str(tmp_path / name), **options)
        text = texts[made.objective] if made.tokenizer == "chars" else None
        return train(made, text=text, reporter=reporter, resume=resume, draw=draw)

    return run


@pytest.fixture
def workplace(config, texts):
    """A function that sets up the workplace of a quick run."""

    def make(
        kind: str = "threads", n: int = 1, text: EncodedCorpus | None = None, **options
    ):
        made = config(**options)
        text = text or texts[made.objective]
        return set_up(
            made,
            made.shape(text.tokenizer.vocab_size),
            (kind, n),
            sampler=training_sampler(text, made),
            tokenizer=text.tokenizer,
            validation=validation_batch(text.val, made, text.tokenizer),
        )

    return make


@pytest.fixture
def train_steps():
    """A function that does the first steps of a run, without any file; its losses."""

    def run(work, kind: str = "threads") -> list[float]:
        config, n = work.config, len(work.gradients)
        losses = []
        with Team(lambda rank: Replica(work, rank, n), kind, n) as team:
            for step in range(config.steps):
                losses.append(float(sum(team.call("compute", step))))
                scale = clip_scale(global_norm(team.call("reduce")), config.clip)
                team.call("update", step, learning_rate(config, step), scale)
        return losses

    return run
