"""What writes: a run, or a model in memory with its tokenizer."""

import dataclasses
import os
import sys
from pathlib import Path
from types import SimpleNamespace

from minillm.errors import UsageError
from minillm.learning.config import TrainConfig
from minillm.learning.own_model import check_vocabulary, context_of, logits_of
from minillm.models import LanguageModel
from minillm.models.architectures import architecture
from minillm.nn import Module
from minillm.runs.run import Run, open_run
from minillm.tensor import Tensor
from minillm.text import Tokenizer

WRITERS = ("clm", "seq2seq")


def open_writer(
    run: Run | str | Module,
    tokenizer: Tokenizer | None = None,
    context: int | None = None,
    objectives: tuple[str, ...] = WRITERS,
    task: str = "continue a text",
) -> Run:
    """A run that can do the `task`, of what `generate` takes. Raises UsageError."""
    if isinstance(run, Module):
        run = _in_memory(run, tokenizer, objectives[0])
    elif not isinstance(run, Run | str | os.PathLike):
        raise UsageError(
            f"a run, the path of one or a model writes, not {type(run).__name__}"
        )
    elif tokenizer is not None:
        raise UsageError("tokenizer= goes with a model: a run has its own")
    run = open_run(run, objectives, task, own=True)
    model = run.model
    if isinstance(model, OwnWriter):
        return run
    if isinstance(model, LanguageModel):
        if context is not None:
            raise UsageError(
                f"context= is for a module of your own: this model reads "
                f"{model.config.context} tokens"
            )
        return run
    longest = context_of(model) or run.config.context or sys.maxsize
    if context is not None and context < 1:
        raise UsageError(f"context must be at least 1 token, got {context}")
    if context is not None and context > longest:
        raise UsageError(f"context {context} is longer than the model's, {longest}")
    writer = OwnWriter(model, context or longest, run.tokenizer.vocab_size)
    return dataclasses.replace(run, model=writer)


def keeps_a_cache(run: Run) -> bool:
    """Whether its model may keep what it made of earlier tokens."""
    return not isinstance(run.model, OwnWriter)


class OwnWriter:
    """A module of one's own as `Decoder` wants a model: without a cache."""

    continues_text = False

    def __init__(self, model: Module, context: int, vocab_size: int):
        self.model = model
        self.config = SimpleNamespace(context=context, vocab_size=vocab_size)

    def for_rows(self, rows) -> "OwnWriter":
        return self

    def __call__(self, ids) -> Tensor:
        """Logits.   ids (B, T) -> (B, T, V)"""
        logits = logits_of(self.model, ids)
        check_vocabulary(self.model, logits.shape[-1], self.config.vocab_size)
        return logits


def _in_memory(model: Module, tokenizer: Tokenizer | None, objective: str) -> Run:
    """A model in the place of a run's. Its name stands for the path; one's own is
    believed to do what it is asked for."""
    name = type(model).__name__
    if not isinstance(tokenizer, Tokenizer):
        found = "" if tokenizer is None else f", got {type(tokenizer).__name__}"
        raise UsageError(
            f"{name} needs a tokenizer= to turn text into numbers, as "
            f"`prepare(config).tokenizer`{found}"
        )
    config = TrainConfig(objective=objective)
    if isinstance(model, LanguageModel):
        check_vocabulary(model, model.config.vocab_size, tokenizer.vocab_size)
        arch = model.config.arch
        objective = "classify" if model.n_classes else architecture(arch).objectives[0]
        config = TrainConfig(arch=arch, objective=objective)
    return Run(Path(name), {"data": {}}, config, model, tokenizer)
