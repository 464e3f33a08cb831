"""What a rank does in the tests of this folder: `python job.py NAME FOLDER ...`."""

import importlib.util
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np

from minillm import Learner, TrainConfig, launcher, nn, prepare, train
from minillm.learning.ranks import RankWorker, join
from minillm.models import ARCHITECTURES, build
from minillm.runs import checkpoint, leader

QUICK = {
    "n_layers": 2,
    "d_model": 16,
    "n_heads": 2,
    "context": 16,
    "batch": 9,  # no multiple of 2 or 4
    "steps": 10,
    "accumulate": 3,
    "dropout": 0.1,
    "tokenizer": "chars",
    "device": "cpu",
}
KINDS = {
    "gpt": {"objective": "clm", "data": "story.txt"},
    "bert": {"objective": "mlm+nsp", "data": "story.txt"},
    "encdec": {"objective": "seq2seq", "data": "pairs.tsv"},
    "llama": {"objective": "clm", "data": "story.txt"},
}
ARCHS = [arch for arch in KINDS if arch in ARCHITECTURES]


def in_float64(arch: str, ranks) -> Learner:
    config = TrainConfig(arch=arch, **QUICK, **KINDS[arch]).resolve()
    text = prepare(config)
    shape = config.shape(text.tokenizer.vocab_size)
    model = build(shape, np.random.default_rng(0))
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(np.float64)
    return Learner(config, text, model=model, ranks=ranks)


def learned(arch: str, ranks=None) -> dict[str, np.ndarray]:
    """The gradient of the first step, the losses and norms of ten, the weights and the
    validation loss that come of them."""
    with in_float64(arch, ranks) as learner:
        steps = [learner.step(0)]
        gradient = learner.work.gradients[0].copy()
        steps += [learner.step(number) for number in range(1, 10)]
        learner.check_weights()
        return {
            "gradient": gradient,
            "losses": np.array([step.loss for step in steps]),
            "norms": np.array([step.norm for step in steps]),
            "weights": learner.work.flat.data.copy(),
            "validation": np.array(learner.evaluate().tokens.loss),
        }


def equal(_folder: str) -> None:
    """Every architecture, its figures in one file of this rank."""
    ranks = join()
    found = {}
    for arch in ARCHS:
        found |= {f"{arch} {k}": v for k, v in learned(arch, ranks).items()}
    np.savez(f"rank-{ranks.rank}.npz", **found)


class Pairs(nn.Module):
    """A model of one's own: of each letter alone, what comes next."""

    def __init__(self, vocab: int, seed: int):
        self.table = nn.Embedding(vocab, 8, init=seed)
        self.out = nn.Linear(8, vocab, init=seed + 1)

    def __call__(self, ids):  # (B, T) -> (B, T, V)
        return self.out(self.table(ids))


def own_model(seed: int, out: str, workers: str) -> dict[str, np.ndarray]:
    """Its weights after `train`, and the loss of the record."""
    settings = {"data": "story.txt", "tokenizer": "chars", "device": "cpu"}
    config = TrainConfig(
        **settings, context=16, batch=8, steps=6, out=out, workers=workers
    )
    text = prepare(config)
    model = Pairs(text.tokenizer.vocab_size, seed)
    record = train(config, model=model, text=text)
    assert record["status"] == "finished"
    weights = {name: p.data.copy() for name, p in model.named_parameters()}
    return weights | {"loss": np.array(record["results"]["val_loss"])}


def own(_folder: str) -> None:
    """Each rank has another model, which begins with the weights of rank 0's."""
    rank, _ = launcher.place()
    np.savez(f"rank-{rank}.npz", **own_model(rank, "run", "auto"))


def at(place: str, rank: int, event) -> None:
    """Let `event()` happen on this rank at the second visit of a place of a run."""
    owner, name = {
        "step": (RankWorker, "reduce"),
        "evaluation": (RankWorker, "evaluate"),
        "checkpoint": (RankWorker, "fingerprint"),
        "writing": (checkpoint, "fill_json"),
        "follow": (leader, "follow"),
    }[place]
    usual, visits = getattr(owner, name), []

    def visited(*arguments, **more):
        visits.append(place)
        if launcher.place()[0] == rank and len(visits) == 2:
            event()
        return usual(*arguments, **more)

    setattr(owner, name, visited)


class Starting:
    """A finder that lets `event()` happen when MPI has started, in its import."""

    def __init__(self, event):
        self.event = event

    def find_spec(self, name, path=None, target=None):
        if name != "mpi4py.MPI":
            return None
        sys.meta_path.remove(self)
        spec = importlib.util.find_spec(name)
        usual = spec.loader.exec_module

        def exec_module(module):
            usual(module)
            self.event()
            time.sleep(0.2)  # in which any thread may get the signal

        spec.loader.exec_module = exec_module
        return spec


def fault(what: str, place: str, rank: str, *argv: str) -> int:
    """`minillm train` with a fault on one rank."""
    from minillm_cli.main import answer

    def raise_one():
        raise ValueError("no such luck")

    def full():
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))

    events = {
        "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
        "error": raise_one,
        "exit": lambda: sys.exit(3),
        "full": full,
        "drift": lambda: None,
        "usr1": lambda: os.kill(os.getpid(), signal.SIGUSR1),
        "term": lambda: os.kill(os.getpid(), signal.SIGTERM),
    }
    if what == "drift":
        drift(int(rank))
    if place != "start":
        at(place, int(rank), events[what])
    elif launcher.place()[0] == int(rank):
        sys.meta_path.insert(0, Starting(events[what]))
    return answer(["train", *argv])


def drift(rank: int) -> None:
    """A bit of this rank's weights changes with each update."""
    usual = RankWorker.update

    def update(self, *arguments):
        usual(self, *arguments)
        if self.rank == rank:
            self.work.flat.data[0] += 1e-3

    RankWorker.update = update


if __name__ == "__main__":
    name, folder, *arguments = sys.argv[1:]
    os.chdir(Path(folder))
    if name in ("equal", "own"):
        {"equal": equal, "own": own}[name](folder)
    else:
        sys.exit(fault(*arguments))
