"""A model of one's own in the place of a `LanguageModel`: how the engine asks it.

Any module will do that gives logits, or a loss:

    logits(ids)      (B, T) -> (B, T, V); without that name the module itself is called
    loss(batch)      the mean over the batch's kept targets, in nats

Where it has a `loss`, that is what it learns by. Where it has `logits`, they are what
it is evaluated by. A method that wants dropout takes `noise` too (`drop` in
`nn/layers.py`). What a model keeps beside its parameters, as a random stream of its
own, is in no checkpoint: such a run does not go on to the last digit.
"""

import dataclasses
import inspect
from dataclasses import dataclass

import numpy as np

from minillm import backend
from minillm.backend import Backend
from minillm.errors import UsageError, option
from minillm.learning.config import OWN, TrainConfig, without_shape
from minillm.models import LanguageModel
from minillm.models.own_count import counted_flops, own_parameters
from minillm.nn import Module, Noise
from minillm.ops import cross_entropy
from minillm.tensor import Tensor
from minillm.text import Batch
from minillm.visible import warn


def loss_of(model: Module, batch: Batch, noise: Noise | None = None) -> Tensor:
    """A shard's part of the loss: nats per kept target of the whole batch."""
    if isinstance(model, LanguageModel):
        return model.loss(batch, noise)
    # The targets are counted anew. One's own loss may take the mean over them, or
    # divide by `n_targets`: of this shard it is the same number.
    shard = dataclasses.replace(batch, n_targets=None)
    if hasattr(model, "loss"):
        loss = _ask(model.loss, _moved(shard, device_of(model)), noise)
    else:
        logits = logits_of(model, shard.ids, noise)
        targets = device_of(model).asarray(shard.targets)
        loss = cross_entropy(logits, targets=targets, n_targets=shard.n_targets)
    if shard.n_targets == batch.n_targets:
        return loss
    return loss * (shard.n_targets / max(batch.n_targets, 1))


def logits_of(model: Module, ids: np.ndarray, noise: Noise | None = None) -> Tensor:
    """Logits of the next tokens.   ids (B, T) -> (B, T, V)

    Raises UsageError for a model that has none, or of another shape.
    """
    ask = getattr(model, "logits", model)
    if not callable(ask):
        raise UsageError(
            f"{_name(model)} gives no logits: it has no `logits(ids)` or `__call__`"
        )
    logits = _ask(ask, device_of(model).asarray(ids), noise)
    if not isinstance(logits, Tensor) or logits.shape[:-1] != ids.shape:
        kind = type(logits).__name__
        found = (
            logits.shape if isinstance(logits, Tensor) else f"a value of type {kind}"
        )
        raise UsageError(
            f"{_name(model)} makes {found} of ids of shape {ids.shape}: logits are a "
            f"Tensor of shape {(*ids.shape, 'V')}"
        )
    return logits


def check_vocabulary(model: Module, n: int, vocab_size: int) -> None:
    """Raises UsageError where a model's tokens are not those of the tokenizer."""
    if n != vocab_size:
        raise UsageError(
            f"{_name(model)} has logits of {n} tokens, the tokenizer has {vocab_size}"
        )


def gives_logits(model: Module) -> bool:
    """Whether it is evaluated by its logits, and not by a loss that may be anything."""
    ours = isinstance(model, LanguageModel)
    return ours or hasattr(model, "logits") or not hasattr(model, "loss")


def device_of(model: Module) -> Backend:
    """Where a model's parameters lie. Raises UsageError where it has none."""
    first = next(iter(model.named_parameters()), None)
    if first is None:
        raise UsageError(
            f"{_name(model)} has no parameter: no leaf in it requires a gradient"
        )
    return backend.of(first[1].data)


def with_model(config: TrainConfig, model: Module | None) -> TrainConfig:
    """The settings of a run that trains this model, if there is one: of no shape, where
    it lies, with the model's context unless one is given.

    Raises UsageError where settings are of such a run and there is none, for what is no
    module, and for a context longer than it has.
    """
    if model is None:
        if config.arch == OWN:
            raise UsageError(
                "this run is of a model of your own, whose code no file holds: in "
                "Python, it is given as model="
            )
        return config
    if not isinstance(model, Module):
        raise UsageError(
            f"model must be a minillm.nn.Module, got {type(model).__name__}"
        )
    device = device_of(model)
    if config.device != "auto":
        with backend.use(config.device) as chosen:
            if chosen is not device:
                raise UsageError(
                    f"{option('device', config.device)}: {_name(model)} lies on "
                    f"{device.name}: "
                    f'make it inside `with minillm.use("{config.device}")`'
                )
    longest = context_of(model)
    if config.context and longest and config.context > longest:
        raise UsageError(
            f"{option('context', config.context)} is longer than that of "
            f"{_name(model)}, "
            f"{longest}"
        )
    return dataclasses.replace(
        config,
        **without_shape(),
        arch=OWN,
        context=config.context or longest,
        device=device.name,
    )


def context_of(model: Module) -> int | None:
    """The most tokens that a model says it can read: its `context`, or its config's."""
    for holder in (model, getattr(model, "config", None)):
        context = getattr(holder, "context", None)
        if isinstance(context, int) and context > 0:
            return context
    return None


@dataclass(frozen=True)
class OwnModel:
    """What was found out about a model by running it on one row.

    `flops_per_token` are those of training, None where they cannot be counted.
    """

    shape: dict  # what run.json says of it
    n_workers: int  # how many can train it
    parameters: dict
    flops_per_token: int | None


def look_at(
    model: Module,
    row: Batch,
    vocab_size: int,
    config: TrainConfig,
    workers: str = "1",
    n: int = 1,
) -> OwnModel:
    """Run a model forward once, on a batch of one row. It is to be trained by n
    workers, as `workers` asked for.

    Raises UsageError where its loss is not one number that depends on its parameters,
    or its logits are not of `vocab_size` tokens. An error of its own code is raised as
    it is.
    """
    name = _name(model)
    if config.dropout and not _takes_noise(_learns_by(model)):
        raise UsageError(
            f"{option('dropout', config.dropout)}: {name} takes no `noise` to drop by"
        )
    if gives_logits(model):
        check_vocabulary(model, logits_of(model, row.ids).shape[-1], vocab_size)
    else:
        warn(
            f"{name} is evaluated by its loss: with a method `logits(ids)` too, its "
            f"accuracy and bits per byte are measured"
        )
    with counted_flops() as found:
        loss = loss_of(model, row)
    if not isinstance(loss, Tensor) or loss.size != 1:
        made = getattr(loss, "shape", type(loss).__name__)
        raise UsageError(f"{name}.loss gives {made}: a loss is a Tensor of one number")
    if not loss.requires_grad:
        raise UsageError(f"the loss of {name} depends on none of its parameters")
    if found.uncounted:
        warn(f"FLOPs of {name} are not counted: it uses {found.uncounted}")
    shapes = {key: list(p.shape) for key, p in model.named_parameters()}
    return OwnModel(
        shape={
            "class": name,
            "vocab_size": vocab_size,
            "context": config.context,
            "shapes": shapes,
        },
        n_workers=_n_workers(model, row, workers, n),
        parameters=own_parameters(model),
        flops_per_token=found.of_training(row.ids.size),
    )


def _copies(model: Module, row: Batch) -> bool:
    """Whether a copy of a model computes gradients of its own: not where it cannot be
    copied, or holds a function that goes on with the parameters of the first."""
    model.zero_grad()
    try:
        copy = model.replica()
        loss_of(copy, row).backward()
    except Exception:
        return False
    finally:
        alone = all(p.grad is None for p in model.parameters())
        model.zero_grad()
    loss_of(model, row).backward()
    reached, there = (
        [name for name, p in each.named_parameters() if p.grad is not None]
        for each in (model, copy)
    )
    model.zero_grad()
    return alone and reached == there


def _n_workers(model: Module, row: Batch, workers: str, n: int) -> int:
    """How many of n workers can train it: one where it cannot be copied, which is told.
    Raises UsageError where more are asked for than can."""
    if n == 1 or _copies(model, row):
        return n
    why = (
        f"{_name(model)} cannot be copied for another worker, or its copy would go on "
        f"with the parameters of the first"
    )
    if "auto" not in workers:
        raise UsageError(f"{option('workers', workers)}: {why}: take 1")
    warn(f"{why}: one worker trains it")
    return 1


def _learns_by(model: Module):
    return getattr(model, "loss", None) or getattr(model, "logits", model)


def _ask(function, x, noise: Noise | None):
    return function(x, noise=noise) if _takes_noise(function) else function(x)


def _takes_noise(function) -> bool:
    return "noise" in inspect.signature(function).parameters


def _moved(batch: Batch, where: Backend) -> Batch:
    """With its arrays on a device, for who uses them as they are."""
    arrays = {
        name: where.asarray(value)
        for name, value in vars(batch).items()
        if isinstance(value, np.ndarray)
    }
    return dataclasses.replace(batch, **arrays)


def _name(model: Module) -> str:
    return type(model).__name__
