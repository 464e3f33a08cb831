"""A small text, quick runs on it, and their steps without the loop around them."""

import numpy as np
import pytest

from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare
from minillm.learning.learner import Learner
from minillm.runs.train import train

QUICK = {
    "n_layers": 2,
    "d_model": 16,
    "n_heads": 2,
    "context": 16,
    "batch": 8,
    "steps": 10,
    "tokenizer": "chars",
    "device": "cpu",
    "workers": "1",
}


@pytest.fixture(scope="session")
def book(tmp_path_factory) -> str:
    """The path of a text of 7 kB in English and Chinese."""
    rng = np.random.default_rng(0)
    sentence = "the sea 大海 a lamp 灯塔 she read 她读 of all 一座 books 书"
    words = sentence.split()
    lines = [" ".join(rng.choice(words, 9)) + ".\n" for _ in range(200)]
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

    def run(
        name: str,
        *,
        reporter=None,
        resume=False,
        overwrite=False,
        draw=False,
        **options,
    ) -> dict:
        made = config(out=str(tmp_path / name), **options)
        text = texts[made.objective] if made.tokenizer == "chars" else None
        how = {"reporter": reporter, "resume": resume, "overwrite": overwrite}
        return train(made, text=text, draw=draw, **how)

    return run


@pytest.fixture
def learner(config, texts):
    """A function that makes the Learner of a quick run."""

    def make(
        workers: str = "1", text: EncodedCorpus | None = None, **options
    ) -> Learner:
        made = config(**options)
        return Learner(made, text or texts[made.objective], workers=workers)

    return make


@pytest.fixture
def workplace(learner):
    """A function that makes what the replicas of a quick run share."""

    def make(kind: str = "threads", n: int = 1, **options):
        return learner(f"{kind}:{n}", **options).work

    return make


@pytest.fixture
def train_steps():
    """A function that does every step of a Learner; its losses."""

    def run(learner: Learner) -> list[float]:
        with learner:
            return [learner.step(number).loss for number in range(learner.config.steps)]

    return run
