"""What holds of a run whatever it learns: exact resumes, any number of workers, sharded
evaluation, float32 throughout."""

import itertools
import signal
from dataclasses import astuple

import numpy as np
import pytest

from minillm import train
from minillm.errors import Interrupted
from minillm.learning.config import TrainConfig
from minillm.learning.data import prepare
from minillm.learning.evaluate import Score, score, score_parts
from minillm.learning.learner import Learner
from minillm.learning.worker import Worker, batch_at
from minillm.runs.logbook import Silent

STORY = "".join(
    f"The sea rose. A lamp was lit. She read a book of {i}.\n\n" for i in range(80)
)
ROWS = [("abcdefgh"[i % 5 : i % 5 + 2 + i % 3], i) for i in range(60)]
FILES = {
    "story.txt": STORY,
    "pairs.tsv": "".join(f"{a}{i}\t{i}{a[::-1]}\n" for a, i in ROWS),
    "labels.tsv": "".join(f"{a} {i}\t{'even' if i % 2 else 'odd'}\n" for a, i in ROWS),
}
TINY = {
    "tokenizer": "chars",
    "n_layers": 1,
    "d_model": 16,
    "n_heads": 2,
    "context": 24,
    "batch": 6,
    "steps": 6,
    "save_every": 2,
    "eval_every": 3,
    "dropout": 0.1,
    "device": "cpu",
    "workers": "1",
}
CASES = [
    ("clm", "gpt", "story.txt"),
    ("clm", "llama", "story.txt"),
    ("clm", "lstm", "story.txt"),
    ("mlm", "encoder", "story.txt"),
    ("mlm", "bert", "story.txt"),
    ("mlm+nsp", "bert", "story.txt"),
    ("seq2seq", "encdec", "pairs.tsv"),
    ("classify", "gpt", "labels.tsv"),
    ("classify", "llama", "labels.tsv"),
    ("classify", "bert", "labels.tsv"),
]


@pytest.fixture(params=CASES, ids=lambda case: "-".join(case[:2]))
def config(request, tmp_path) -> TrainConfig:
    objective, arch, name = request.param
    path = tmp_path / name
    path.write_text(FILES[name], encoding="utf-8")
    made = TrainConfig(objective=objective, arch=arch, data=path, **TINY)
    return made.resolve()


class Interrupting(Silent):
    """Stops a run after its third step, as Ctrl-C does."""

    def step(self, line: dict) -> None:
        if line["step"] == 3:
            signal.raise_signal(signal.SIGINT)


def test_a_resumed_run_is_the_uninterrupted_one(config, tmp_path):
    def run(name: str, **options) -> dict:
        made = TrainConfig.from_json({**config.to_json(), "out": str(tmp_path / name)})
        return train(made, draw=False, **options)

    whole = run("whole")
    with pytest.raises(Interrupted):
        run("parts", reporter=Interrupting())
    parts = run("parts", resume=True)
    for name in ("train_loss", "val_loss", "val_accuracy", "tokens"):
        assert parts["results"][name] == whole["results"][name]
    weights = [
        (tmp_path / name / "checkpoints/step-000006/model.safetensors").read_bytes()
        for name in ("whole", "parts")
    ]
    assert weights[0] == weights[1]


def workplace(config: TrainConfig, n: int = 1):
    return Learner(config, prepare(config), workers=f"threads:{n}").work


def test_workers_share_a_batch_and_change_nothing(config):
    alone, shared = workplace(config), workplace(config, 3)
    loss = float(Worker(alone, 0, 1).compute(0))
    replicas = [Worker(shared, rank, 3) for rank in range(3)]
    assert sum(float(each.compute(0)) for each in replicas) == pytest.approx(loss)
    gradient = sum(shared.gradients)
    np.testing.assert_allclose(gradient, alone.gradients[0], atol=1e-5)


def test_an_evaluation_in_parts_is_that_of_the_whole(config):
    work = workplace(config)
    batch = batch_at(work, 1)
    whole = score(work.model, batch)
    assert whole.tokens.n + whole.labels.n > 0
    for size in (1, 4):
        of_two = (score_parts(work.model, batch, size, 1, r, 2) for r in range(2))
        parts = sum(itertools.chain(*of_two), Score())
        for part, of in ((parts.tokens, whole.tokens), (parts.labels, whole.labels)):
            np.testing.assert_allclose(astuple(part), astuple(of), rtol=1e-5)


def test_training_stays_in_single_precision(config):
    replica = Worker(workplace(config), 0, 1)
    assert replica.compute(0).dtype == np.float32
    assert replica.gradient.dtype == np.float32
