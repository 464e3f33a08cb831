"""Leader and followers: of the ranks that train a model, rank 0 alone keeps the run.

Rank 0 is in `train` as one process would be: it has the folder, the lock and the
progress. Before it asks something of its ranks it tells the others, who do the same.
"""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

from minillm import backend
from minillm.backend.memory import keep_freed_memory
from minillm.errors import Interrupted, MinillmError
from minillm.launcher import everywhere
from minillm.learning.config import TrainConfig
from minillm.learning.data import EncodedCorpus, prepare
from minillm.learning.learner import Learner
from minillm.learning.ranks import Ranks, join
from minillm.nn import Module
from minillm.runs import memory
from minillm.runs.interrupt import Interrupts
from minillm.runs.record import versions
from minillm.text import Tokenizer


def train_on_ranks(
    lead: Callable[..., dict],
    config: TrainConfig,
    model: Module | None,
    text: EncodedCorpus | None,
) -> dict:
    """What `lead(ranks=...)` returns on rank 0, on all of several ranks, each of which
    calls this. Raises on all of them what it raises there."""
    ranks = join(lambda comm: Ranks(comm) if comm.rank else Leader(comm))
    ranks.agree(**config.to_json(), **versions())
    if ranks.rank:
        return follow(ranks, model, text)
    try:
        record = lead(ranks=ranks)
    except (MinillmError, Interrupted) as error:
        if not ranks.is_calling:  # else nobody listens: `launcher.abort` ends them
            ranks.tell("raise", everywhere(error))
        raise
    ranks.tell("return", record)
    return record


class Leader(Ranks):
    """Those of rank 0: what it calls, the others are told to do.

    is_calling: they do it just now, and hear nothing.
    """

    is_calling = False

    def tell(self, *what) -> None:
        self.comm.bcast(what)

    def meet(self, config: TrainConfig, text: EncodedCorpus) -> TrainConfig:
        self.tell("meet", config, text.tokenizer)
        self.is_calling = True
        config = super().meet(config, text)
        self.is_calling = False
        return config

    def start(self, learner: Learner) -> Ranks:
        self.tell("start")
        return super().start(learner)

    def call(self, method: str, *arguments) -> list:
        self.tell(method, *arguments)
        self.is_calling = True
        answers = super().call(method, *arguments)
        self.is_calling = False
        return answers


def follow(ranks: Ranks, model: Module | None, text: EncodedCorpus | None) -> dict:
    """Do what rank 0 says, to the end."""
    with contextlib.ExitStack() as exits:
        interrupts = exits.enter_context(Interrupts())
        while True:
            what, *details = ranks.comm.bcast(None)
            ranks.signal = interrupts.signal
            match what:
                case "meet":
                    made = _learner(ranks, model, text, *details)
                    learner = exits.enter_context(made)
                case "start":
                    exits.enter_context(learner)
                case "raise":
                    raise details[0]
                case "return":
                    return details[0]
                case _:
                    ranks.call(what, *details)


@contextlib.contextmanager
def _learner(
    ranks: Ranks,
    model: Module | None,
    text: EncodedCorpus | None,
    config: TrainConfig,
    tokenizer: Tokenizer,
) -> Iterator[Learner]:
    """That of a follower, of the settings of rank 0."""
    if model is not None:
        config = dataclasses.replace(config, device="auto")  # where its own model lies
    keep_freed_memory()
    with backend.use(ranks.placed(config).device) as device:
        text = text or prepare(config, tokenizer)
        shape = config.shape(text.tokenizer.vocab_size, len(text.labels))
        n = ranks.n_here if device.kind == "cpu" else 1  # that share a memory
        with memory.within(config, shape, n, device):
            yield Learner(config, text, model=model, ranks=ranks)
